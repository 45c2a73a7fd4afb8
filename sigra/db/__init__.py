"""Storage: what a plugin may use of it."""

from sigra.db.batches import delete_batch
from sigra.db.dialects.elapsed import elapsed
from sigra.db.engine import Database
from sigra.db.last_use import LastUse
from sigra.db.lookup import Found, Lookup, at_present
from sigra.db.schema import UserColumns, user_ref
from sigra.db.types import Digest, ExactText, Id, JSONText, Sealed, UTCDateTime

__all__ = [
    "Database",
    "Digest",
    "ExactText",
    "Found",
    "Id",
    "JSONText",
    "LastUse",
    "Lookup",
    "Sealed",
    "UTCDateTime",
    "UserColumns",
    "at_present",
    "delete_batch",
    "elapsed",
    "user_ref",
]

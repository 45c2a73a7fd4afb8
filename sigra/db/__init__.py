"""Storage: what a plugin may use of it."""

from sigra.db.engine import Database
from sigra.db.last_use import LastUse
from sigra.db.lookup import Found, Lookup
from sigra.db.schema import UserColumns, user_ref
from sigra.db.types import Digest, Id, UTCDateTime

__all__ = ["Database", "Digest", "Found", "Id", "LastUse", "Lookup", "UTCDateTime", "UserColumns", "user_ref"]

"""Secrets, their digests and signatures, and password hashes: what would be worth stealing is handled here alone."""

from sigra.crypto.keys import KeyRing
from sigra.crypto.migrating import MigratingHasher
from sigra.crypto.opaque import has_checksum, new_secret, with_checksum
from sigra.crypto.passwords import MAXIMUM_PASSWORD_BYTES, Hasher, password_bytes
from sigra.crypto.pool import Pool, usable_cores
from sigra.crypto.vault import Vault

__all__ = [
    "MAXIMUM_PASSWORD_BYTES",
    "Hasher",
    "KeyRing",
    "MigratingHasher",
    "Pool",
    "Vault",
    "has_checksum",
    "new_secret",
    "password_bytes",
    "usable_cores",
    "with_checksum",
]

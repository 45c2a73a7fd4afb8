"""The vault: what must be read again lies sealed, and opens only where it was put."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from sigra.crypto.keys import subkey
from sigra.errors import SealBroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from sqlalchemy import Column

VERSION = b"\x01"
KEY_ID_BYTES = 8
NONCE_BYTES = 12
"""Drawn at random, 96 bits: a key seals up to 2**32 values (NIST SP 800-38D, sections 8.2.2 and 8.3)."""

TAG_BYTES = 16

HEADER_BYTES = len(VERSION) + KEY_ID_BYTES

CHANGED = "elsewhere, or it was changed since"
UNKNOWN_KEY = "under a key that is not in SIGRA_SECRET_KEYS"


class Vault:
    """AES-256-GCM under the key ring (NIST SP 800-38D): the first key seals, all of them open.

    A sealed value is the version (1 byte), the key's id (8), the nonce (12), and the text with its tag (16 more bytes
    than was sealed). Table, column and row are associated data, so that a value moved elsewhere does not open.

    Args:
        secret_keys: At least one.
        random: `n` random bytes, for nonces. A key under which one comes twice is lost (section 8 of the same).
    """

    def __init__(self, secret_keys: Sequence[str], *, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random = random
        self._keys = {_key_id(key): subkey(key, b"vault") for key in reversed(secret_keys)}
        self._first = _key_id(secret_keys[0])

    def __repr__(self) -> str:
        return f"Vault({len(self._keys)} keys)"

    def seal(self, column: Column[bytes], id: object, plaintext: bytes) -> bytes:
        """What the column of that row stores.

        Args:
            id: The row's primary key, as it is stored.
        """
        nonce = self._random(NONCE_BYTES)
        header = VERSION + self._first
        sealed = self._ciphers[self._first].encrypt(nonce, plaintext, header + _place(column, id))
        return header + nonce + sealed

    def open(self, column: Column[bytes], id: object, sealed: bytes) -> bytes:
        """What was sealed there.

        Raises:
            SealBroken: It was sealed elsewhere, or was changed, or its key is in the ring no more.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (an application without factors needs none)

        if len(sealed) < HEADER_BYTES + NONCE_BYTES + TAG_BYTES or not sealed.startswith(VERSION):
            raise SealBroken(column.table.name, column.name, id, CHANGED)
        header, rest = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
        cipher = self._ciphers.get(header[len(VERSION) :])
        if cipher is None:
            raise SealBroken(column.table.name, column.name, id, UNKNOWN_KEY)
        try:
            return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + _place(column, id))
        except InvalidTag:
            raise SealBroken(column.table.name, column.name, id, CHANGED) from None

    @property
    def first(self) -> bytes:
        """With what every value begins that is sealed under the first key."""
        return VERSION + self._first

    @property
    def known(self) -> tuple[bytes, ...]:
        """With what values begin whose key is in the ring."""
        return tuple(VERSION + id for id in self._keys)

    @cached_property
    def _ciphers(self) -> dict[bytes, AESGCM]:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  (the same)

        return {id: AESGCM(key) for id, key in self._keys.items()}


def _key_id(secret_key: str) -> bytes:
    """Which key it is; tells nothing of it."""
    return hmac.digest(subkey(secret_key, b"vault id"), b"", "sha256")[:KEY_ID_BYTES]


def _place(column: Column[bytes], id: object) -> bytes:
    return "\0".join((column.table.name, column.name, str(id))).encode()

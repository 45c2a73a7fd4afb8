"""Under which keys rows, seals and checkpoints are authentic; the first one signs, all of them verify."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence

from sigra import canonical_email

RingDigests = Callable[[str, str], Sequence[bytes]]
"""`auth.tokens.digests`: one digest a key of the application's ring."""

KEY_ID = 12
"""Characters by which a row says which key it was made with."""


class Keys:
    """HMAC-SHA-256 (RFC 2104) of messages, each label a use of its own.

    Args:
        own: `SIGRA_AUDIT__KEYS`; with them rows stay authentic whatever happens to the application's ring.
        ring: The application's keys, which sign when there are none of the record's own, and verify in any case.
    """

    def __init__(self, own: Sequence[str], ring: RingDigests) -> None:
        self._own = tuple(hmac.digest(key.encode(), b"sigra audit", "sha256") for key in own)
        self._ring = ring
        self._ids: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Keys({len(self.ids)})"

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each key, that says nothing about it."""
        if not self._ids:
            self._ids = tuple(mac.hex()[:KEY_ID] for mac in self._macs("key id", b""))
        return self._ids

    def sign(self, label: str, message: bytes) -> tuple[str, bytes]:
        """The id of the first key, and what it makes of the message."""
        return self.ids[0], self._macs(label, message)[0]

    def verify(self, label: str, message: bytes, key_id: str, mac: object) -> bool | None:
        """Whether the key of that id made it; None when that key is not there.

        Args:
            mac: As it was read: SQLite takes a value of any type.
        """
        if key_id not in self.ids:
            return None
        return isinstance(mac, bytes) and hmac.compare_digest(self._macs(label, message)[self.ids.index(key_id)], mac)

    def verify_by_any(self, label: str, message: bytes, mac: bytes, length: int = 32) -> bool:
        """Whether one of the keys made it, or its first bytes."""
        return any(hmac.compare_digest(made[:length], mac) for made in self._macs(label, message))

    def pseudonyms(self, address: str) -> list[str]:
        """What stands for an e-mail address, under each key; the first is what is written today."""
        message = _one_spelling(address).encode("utf-8", "surrogatepass")
        return [f"email:{mac.hex()[:16]}" for mac in self._macs("address", message)]

    def pseudonym(self, address: str) -> str:
        """What stands for an e-mail address in new rows."""
        return self.pseudonyms(address)[0]

    def _macs(self, label: str, message: bytes) -> list[bytes]:
        text = label.encode() + b"\0" + message
        # The ring takes secrets of 43 characters, which a digest is too; no two messages have one (FIPS 180-4).
        formed = urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        return [*(hmac.digest(key, text, "sha256") for key in self._own), *self._ring("audit", formed)]


def _one_spelling(address: str) -> str:
    try:
        return canonical_email(address)
    except ValueError:
        return address.casefold()

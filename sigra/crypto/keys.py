"""The key ring: digests that make stored secrets worthless to a thief, and signed values, under keys that rotate."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

BLOCK = 64
"""Bytes of a block of SHA-256 (FIPS 180-4, section 1)."""


def utc_now() -> datetime:
    """The machine's clock, in UTC."""
    return datetime.now(UTC)


class KeyRing:
    """Keys of one application: the first one signs, all of them verify until they are taken out.

    No key is used as it is: each use has a sub-key of its own, so that a digest is never a signature.

    Args:
        secret_keys: At least one; their length is checked with the settings.
        clock: Now, with a time zone.

    Raises:
        ValueError: There is no key.
    """

    __slots__ = ("_derivers", "_digests", "_serializer")

    def __init__(self, secret_keys: Sequence[str], *, clock: Callable[[], datetime] = utc_now) -> None:
        if not secret_keys:
            raise ValueError("a key ring needs a key")
        self._digests = tuple(_digester(subkey(key, b"digest")) for key in secret_keys)
        self._derivers = tuple(subkey(key, b"derive") for key in secret_keys)
        self._serializer = URLSafeTimedSerializer(
            # itsdangerous signs with the last.
            [subkey(key, b"sign") for key in reversed(secret_keys)],
            serializer_kwargs={"ensure_ascii": True},
            signer=_Signer,
            signer_kwargs={"clock": clock},
        )

    def __repr__(self) -> str:
        return f"KeyRing({len(self._digests)} keys)"

    def digest(self, purpose: str, secret: str) -> bytes:
        """What a new secret is stored as: HMAC-SHA-256(first key, purpose, zero byte, secret); 32 bytes (RFC 2104).

        Every text has a digest, and no two texts have the same bytes behind it: what is not of a secret's form does
        not raise, it only never matches.

        Raises:
            ValueError: The purpose holds a NUL, which ends it.
        """
        return self._digests[0](_message(purpose, secret))

    def digests(self, purpose: str, secret: str) -> list[bytes]:
        """What a presented secret may be stored as: one digest a key, in the order of the ring."""
        message = _message(purpose, secret)
        return [digest(message) for digest in self._digests]

    def derive(self, purpose: str, seed: bytes) -> tuple[bytes, ...]:
        """What only the keys make of a seed, the same each time: 32 bytes a key, in the order of the ring.

        HMAC-SHA-256 as a pseudorandom function in one block (NIST SP 800-108r1, section 4.1).
        """
        return tuple(hmac.digest(key, b"%b\0%b" % (_label(purpose), seed), "sha256") for key in self._derivers)

    def sign(self, purpose: str, value: Any) -> str:
        """A JSON value as text for URLs and cookies, that can be read by everybody and made by nobody else.

        Args:
            value: Anything that JSON holds but None, which `unsign` answers for a bad text.
        """
        return str(self._serializer.dumps(value, salt=_label(purpose)))

    def unsign(self, purpose: str, text: str, max_age: timedelta) -> Any:
        """The value of a text signed for this purpose at most `max_age` ago, in whole seconds; None for all others."""
        # Signed text is ASCII, and the library encodes strictly.
        if not text.isascii():
            return None
        try:
            return self._serializer.loads(text, max_age=int(max_age.total_seconds()), salt=_label(purpose))
        except BadData:
            return None


class _Signer(TimestampSigner):
    """HMAC-SHA-256 by the given clock; the salt goes into the key by HMAC."""

    def __init__(self, secret_key: list[bytes], salt: bytes, clock: Callable[[], datetime]) -> None:
        super().__init__(secret_key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock().timestamp())


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """A sub-key of 32 bytes: HKDF with SHA-256, whose output fits one block (RFC 5869, sections 2.2 and 2.3)."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")


def subkey(secret_key: str, use: bytes) -> bytes:
    """A key of its own for each use of a secret key."""
    return hkdf(_bytes(secret_key), b"sigra", use)


def _digester(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 with the key worked in once: a copied hash object takes a third of starting from the key.

    The two hashes of RFC 2104, section 4, which says so itself; `hmac` keeps them too, behind two more objects a copy.
    """
    # A sub-key has 32 bytes: shorter than a block, it is filled up with zeros.
    begin_inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key.ljust(BLOCK, b"\0"))).copy
    begin_outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key.ljust(BLOCK, b"\0"))).copy

    def digest(message: bytes) -> bytes:
        inner, outer = begin_inner(), begin_outer()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    return digest


def _message(purpose: str, secret: str) -> bytes:
    if "\0" in purpose:
        raise ValueError("a purpose cannot hold a NUL")
    return f"{purpose}\0{secret}".encode("utf-8", "surrogatepass")


def _label(purpose: str) -> bytes:
    return _message(purpose, "")[:-1]


def _bytes(text: str) -> bytes:
    """UTF-8, and for lone surrogates the same pattern of bits: other bytes for every other text."""
    return text.encode("utf-8", "surrogatepass")

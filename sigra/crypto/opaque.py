"""New secrets, and the checksum by which a key that was mistyped or made up is told before any query."""

from __future__ import annotations

import re
import secrets
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable

SECRET_BYTES = 32
"""256 bits: no guess succeeds, so a secret needs no slow hash (NIST SP 800-63B, section 5.1.2.2 asks for 112)."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_CHECKED_SECRET = re.compile(r"[A-Za-z0-9_-]{49}")
_CHECKSUM_LENGTH = 6


def new_secret(random: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A secret of 256 bits, as 43 characters that need no quoting anywhere (base64url, RFC 4648, section 5)."""
    return _base64url(random(SECRET_BYTES))


def with_checksum(prefix: str, secret: str) -> str:
    """The prefix, the secret and six characters of CRC-32 over both.

    The form, and the reason for it, are those of GitHub's tokens ("Behind GitHub's new authentication token formats",
    2021): scanners for leaked secrets find them without false alarms. The checksum is no secret and proves nothing:
    anybody can compute it.

    Raises:
        ValueError: The secret is not one of `new_secret`, or the prefix is not ASCII.
    """
    if not _SECRET.fullmatch(secret):
        raise ValueError("only a secret of new_secret takes a checksum")
    text = prefix + secret
    return text + _checksum(text)


def has_checksum(prefix: str, text: str) -> bool:
    """Whether the text is, character by character, what `with_checksum` makes with this prefix."""
    if not text.startswith(prefix) or not _CHECKED_SECRET.fullmatch(text, len(prefix)):
        return False
    return text[-_CHECKSUM_LENGTH:] == _checksum(text[:-_CHECKSUM_LENGTH])


def _checksum(text: str) -> str:
    return _base64url(zlib.crc32(text.encode("ascii")).to_bytes(4, "big"))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

"""Codes of authenticator apps: TOTP (RFC 6238) over HOTP (RFC 4226), computed by pyotp."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from base64 import b32encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import pyotp

Algorithm = Literal["SHA1", "SHA256", "SHA512"]

DIGESTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512}
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What an enrolment was made with (RFC 6238, section 1.2); the app keeps them, and so does its row.

    Args:
        digits: Of a code.
        period: Seconds of a step.
    """

    algorithm: Algorithm
    digits: int
    period: int

    def code(self, seed: bytes, step: int) -> str:
        """The code of a step."""
        return self._totp(seed).generate_otp(step)

    def step(self, at: datetime) -> int:
        """The step of a time: periods since 1970 (RFC 6238, section 4.2)."""
        return int(at.timestamp()) // self.period

    def match(self, seed: bytes, code: str, at: datetime, window: int, after: int | None) -> int | None:
        """The step whose code that is; None when it is none's.

        Args:
            code: As `folded`.
            window: Steps before and after the present one that count too (RFC 6238, section 5.2).
            after: The last step that was accepted: only later ones count (RFC 6238, section 5.2, the last paragraph).
        """
        now = self.step(at)
        found = None
        for step in range(max(0, now - window), now + window + 1):
            fits = hmac.compare_digest(self.code(seed, step), code)
            if fits and (after is None or step > after):
                found = step
        return found

    def uri(self, seed: bytes, account: str, issuer: str) -> str:
        """What an app reads from the QR code, by the Key URI format of Google Authenticator."""
        return self._totp(seed).provisioning_uri(name=account, issuer_name=issuer)

    def _totp(self, seed: bytes) -> pyotp.TOTP:
        return pyotp.TOTP(secret_of(seed), digits=self.digits, digest=DIGESTS[self.algorithm], interval=self.period)


def secret_of(seed: bytes) -> str:
    """A seed as people and apps know it: base32 without padding (RFC 4648, section 6)."""
    return b32encode(seed).rstrip(b"=").decode()


def folded(text: str) -> str | None:
    """The ASCII digits of a code as people type it: in any script, with spaces and dashes; None for other text."""
    digits = []
    for character in unicodedata.normalize("NFKC", text):
        if character.isspace() or unicodedata.category(character) in ("Pd", "Cf"):
            continue
        value = unicodedata.decimal(character, None)
        if value is None:
            return None
        digits.append(str(value))
    return "".join(digits)

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
import segno

Algorithm = Literal["SHA1", "SHA256", "SHA512"]

DIGESTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512}
)

LABEL_LENGTH = 100
"""Characters of an account's name in an app: with an issuer of 64, in any script, the whole fits a QR code."""


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

    def match(self, seed: bytes, code: str, at: datetime, window: int) -> int | None:
        """The step whose code that is; None when it is none's. Whether it was accepted before, the row tells.

        Args:
            code: As `folded`.
            window: Steps before and after the present one that count too (RFC 6238, section 5.2).
        """
        now = self.step(at)
        steps = range(max(0, now - window), now + window + 1)
        # All of them, so that nobody learns from the time which one it was.
        fitting = [step for step in steps if hmac.compare_digest(self.code(seed, step), code)]
        return fitting[-1] if fitting else None

    def uri(self, seed: bytes, account: str, issuer: str) -> str:
        """What an app reads from the QR code, by the Key URI format of Google Authenticator."""
        return self._totp(seed).provisioning_uri(name=account[:LABEL_LENGTH], issuer_name=issuer)

    def _totp(self, seed: bytes) -> pyotp.TOTP:
        return pyotp.TOTP(secret_of(seed), digits=self.digits, digest=DIGESTS[self.algorithm], interval=self.period)


def secret_of(seed: bytes) -> str:
    """A seed as people and apps know it: base32 without padding (RFC 4648, section 6)."""
    return b32encode(seed).rstrip(b"=").decode()


def drawn(uri: str) -> str:
    """The QR code as an SVG element: black on white in every colour scheme, with the quiet zone that scanners need."""
    return segno.make_qr(uri, error="l").svg_inline(scale=5, dark="#000", light="#fff", svgclass=None, lineclass=None)


def folded(text: str) -> str:
    """The ASCII digits of a code as people type or paste it: in any script, among spaces, dashes and marks.

    Whatever else is there stays, as a question mark that fits no code.
    """
    kept = [one for one in unicodedata.normalize("NFKC", text) if not (one.isspace() or _is_between(one))]
    return "".join(str(unicodedata.decimal(one, "?")) for one in kept)


def _is_between(character: str) -> bool:
    """Whether it is a dash (`Pd`, and the minus sign) or is not seen at all (`Cf`)."""
    return character == "\N{MINUS SIGN}" or unicodedata.category(character) in ("Pd", "Cf")

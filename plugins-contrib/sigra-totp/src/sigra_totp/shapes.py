"""The plugin's options, bodies and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from sigra_totp.codes import Algorithm


class Options(BaseModel):
    """How the codes of new enrolments are made; those that are there keep theirs.

    Args:
        issuer: What an app shows beside the account; the host of the base URL when empty.
        algorithm: Many apps know no other than SHA1.
        digits: Of a code.
        period: Seconds of a step (NIST SP 800-63B-4, section 3.1.4.1: at most 120).
        window: Steps before and after the present one that are accepted for a slow clock; 0 is strict.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Annotated[str, Field(max_length=100, pattern=r"^[^:]*$")] = ""
    algorithm: Algorithm = "SHA1"
    digits: Literal[6, 8] = 6
    period: Annotated[int, Field(ge=15, le=120)] = 30
    window: Annotated[int, Field(ge=0, le=1)] = 1


class Nothing(BaseModel):
    """A body without members of its own."""


class Code(BaseModel):
    """The body of a first code."""

    code: Annotated[str, Field(max_length=64, repr=False)]


class Proof(Code):
    """The body of a code at a sign-in."""

    trust_browser: bool = False


class Enrolling(TypedDict):
    """A secret that counts once its first code is confirmed: base32, the same as a URI, and that as a QR code."""

    secret: str
    otpauth_uri: str
    qr_svg: str


class Confirmed(TypedDict):
    """Recovery codes, shown this once; none where the account has some already."""

    recovery_codes: list[str]

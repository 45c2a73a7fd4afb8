"""The plugin's options, bodies and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from sigra.answers import Challenged, SignedIn
from sigra_totp.codes import Algorithm


def _six_or_eight(digits: int) -> int:
    if digits not in (6, 8):
        raise ValueError("apps show 6 or 8 digits")
    return digits


class Options(BaseModel):
    """How the codes of new enrolments are made; those that are there keep theirs.

    Args:
        issuer: What an app shows beside the account; the host of the base URL when empty.
        algorithm: Many apps know no other than SHA1.
        digits: Of a code.
        period: Seconds of a step (NIST SP 800-63B-4, section 3.1.4.1: at most 120).
        window: Steps before and after the present one that are accepted for a clock that is off; 0 is strict.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Annotated[str, Field(max_length=64, pattern=r"^[^:]*$")] = ""
    algorithm: Algorithm = "SHA1"
    digits: Annotated[int, AfterValidator(_six_or_eight)] = 6
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
    """A secret that counts once its first code is confirmed: in base32, as a URI, and that as a QR code (SVG)."""

    secret: str
    otpauth_uri: str
    qr_svg: str


class Confirmed(TypedDict):
    """Recovery codes, shown this once; none where the account has some already."""

    recovery_codes: list[str]


class ConfirmedAndSignedIn(SignedIn):
    """The same, of a sign-in that waited for just that."""

    recovery_codes: list[str]


class ConfirmedAndChallenged(Challenged):
    """The same, of a sign-in that waits for more."""

    recovery_codes: list[str]

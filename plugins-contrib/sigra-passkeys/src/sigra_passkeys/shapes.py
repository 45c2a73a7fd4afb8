"""The plugin's options, bodies, answers, errors and events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NotRequired

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict

from sigra import Event
from sigra.answers import Identifier, Timestamp

MOST_CHARACTERS = 16 * 1024
"""Of a credential as JSON."""

NAME_LENGTH = 100

CounterPolicy = Literal["warn", "reauthenticate", "revoke"]


class Options(BaseModel):
    """Who asks for passkeys, and what they must show (W3C Web Authentication, Level 3).

    Args:
        rp_id: The domain that passkeys are bound to: the host of the base URL, or a domain above it. Changing it makes
            every passkey useless.
        rp_name: What authenticators show; the host when empty.
        origins: Where the pages may be that ask for a passkey; the base URL's own when empty. More than one are
            announced as related origins at `/.well-known/webauthn`.
        user_verification: Whether a passkey that signs in alone must verify its user by PIN or biometrics. Where it is
            only `preferred`, one that does not begins a sign-in, which then asks for another factor.
        counter: What a signature counter that does not grow means: `warn` lets in and records it, `reauthenticate`
            refuses the passkey this time, `revoke` removes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rp_id: str = ""
    rp_name: Annotated[str, Field(max_length=64)] = ""
    origins: tuple[str, ...] = ()
    user_verification: Literal["required", "preferred"] = "required"
    counter: CounterPolicy = "warn"


def _parsed(value: object) -> object:
    """A credential in a form is JSON in a field."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def _bounded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(json.dumps(value)) > MOST_CHARACTERS:
        raise ValueError("too long")
    return value


Credential = Annotated[dict[str, Any], BeforeValidator(_parsed), AfterValidator(_bounded), Field(repr=False)]
"""What `PublicKeyCredential.toJSON()` returns in the browser (Level 3, section 5.1.8)."""

Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, pattern=r"\S")]


class Nothing(BaseModel):
    """A body without members of its own."""


class NewPasskey(BaseModel):
    """The body of a registration."""

    credential: Credential
    name: Annotated[str, Field(max_length=NAME_LENGTH)] = ""


class Naming(BaseModel):
    """The body of a change."""

    name: Name


class Wanted(BaseModel):
    """The body of a request for options.

    Args:
        email: Whose passkeys; those that the authenticator finds by itself when omitted.
        intent: `sign_in` begins anew, also while another sign-in waits.
    """

    email: Annotated[str | None, Field(max_length=254)] = None
    intent: Literal["sign_in", "factor"] | None = None


class Proof(BaseModel):
    """The body of a sign-in."""

    credential: Credential
    remember: bool = False
    trust_browser: bool = False
    next: Annotated[str | None, Field(max_length=2048)] = None


class PublicPasskey(TypedDict):
    """A passkey, as its user may see it."""

    id: Identifier
    name: str
    created_at: Timestamp
    last_used_at: Timestamp | None
    transports: list[str]
    backed_up: bool


class RegisteredPasskey(PublicPasskey):
    """A new passkey, and recovery codes when it is the account's first factor."""

    recovery_codes: NotRequired[list[str]]


class AllPasskeys(TypedDict):
    """The passkeys of a user, the oldest first."""

    passkeys: list[PublicPasskey]


@dataclass(frozen=True, kw_only=True)
class PasskeyCounterWentBack(Event):
    """A counter did not grow: there may be a copy of the passkey; `metadata` has its `id` and the `policy`."""

    name: ClassVar[str] = "passkey.counter_went_back"

"""What goes in and out of the routes, and what has happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict

from sigra import Event
from sigra.answers import Identifier, Timestamp

Intent = Literal["login", "link", "reauthenticate"]


def _given(text: Any) -> Any:
    """A field of a form that was left empty says nothing."""
    return None if text == "" else text


Held = Annotated[str | None, Field(max_length=512, repr=False), BeforeValidator(_given)]
"""What the callback answered, for who keeps no cookies."""


class Start(BaseModel):
    """The body of a start.

    Args:
        next: Where the browser goes afterwards.
        intent: What the answer is for: to sign in, to link it to who is signed in, to prove again who that is.
        remember: Whether the session outlives the browser.
        page: Whether the form stands on a page whose policy (`form-action`) keeps forms from leading elsewhere.
    """

    next: Annotated[str | None, Field(max_length=2048), BeforeValidator(_given)] = None
    intent: Intent = "login"
    remember: bool = False
    page: bool = False


class Started(TypedDict):
    """Where to send the browser."""

    authorization_url: str


class Proof(BaseModel):
    """The body of a proof that the account of an address is one's own; nothing for who is signed in to it."""

    password: Annotated[str | None, Field(max_length=1024, repr=False), BeforeValidator(_given)] = None
    login_token: Held = None


class Address(BaseModel):
    """The body of an address for an account to be, where the provider told none that counts."""

    email: Annotated[str, Field(max_length=254)]
    login_token: Held = None


class PublicLinkedIdentity(TypedDict):
    """A linked account of a provider, as its user may see it."""

    id: Identifier
    provider: str
    label: str
    email: str | None
    name: str | None
    created_at: Timestamp
    last_used_at: Timestamp


class AllIdentities(TypedDict):
    """A user's linked accounts, the oldest first."""

    identities: list[PublicLinkedIdentity]


class Nothing(BaseModel):
    """A body without members."""


@dataclass(frozen=True, kw_only=True)
class OAuthRefused(Event):
    """An answer of a provider was an error or was not accepted; `metadata` has `provider`, `code` and the `reason`."""

    name: ClassVar[str] = "oauth.refused"
    outcome: Literal["success", "failure"] = "failure"

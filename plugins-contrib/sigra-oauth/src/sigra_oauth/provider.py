"""What a provider is to the rest of the plugin: where people are sent, and what its answers say, all checked.

Everything behind `Provider` talks to the outside and knows no database; everything in front of it is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

ResponseMode = Literal["query", "form_post"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider says about who signed in there.

    Args:
        issuer: Whose word it is; an OpenID Connect issuer (Core 1.0, section 2), or the fixed name of a provider that
            is none.
        subject: Who it is, locally unique and never reassigned there; at most 255 characters.
        email: As told; None when it told none.
        email_verified: Whether the provider says so by an explicit true.
        name: As told, at most 200 characters; nothing is decided by it.
    """

    issuer: str
    subject: str
    email: str | None = field(default=None, repr=False)
    email_verified: bool = False
    name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider granted.

    Args:
        expires_at: Of the access token, UTC; None when the provider did not say.
        scope: As granted, separated by spaces; None when the provider did not say.
        id_token: As sent, for a later sign-out there; None when there is none.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    scope: str | None = None
    id_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished dance.

    Args:
        session: The provider's own session (`sid`; Front-Channel Logout 1.0, section 3), for a sign-out that begins
            there; None when it told none.
    """

    claims: Claims
    tokens: Tokens = field(repr=False)
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What one attempt asks with, the same when it begins and when it is answered.

    Args:
        redirect_uri: Ours.
        state: Finds the attempt; 256 bits.
        nonce: Comes back in the ID token (OpenID Connect Core 1.0, section 3.1.2.1).
        code_verifier: 43 characters (RFC 7636, section 4.1); only S256 of it is sent.
        again: Whether whoever is signed in there must prove it again (`prompt=login`, `max_age=0`).
        begun_at: UTC.
    """

    redirect_uri: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    again: bool
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """A logout token that holds (Back-Channel Logout 1.0, section 2.4); at least one of `subject` and `session`.

    Args:
        id: `jti`: a second one of that id is a replay.
        expires_at: Until when a replay would be taken, UTC.
    """

    issuer: str
    id: str
    expires_at: datetime
    subject: str | None = None
    session: str | None = None


class Provider(Protocol):
    """One entry of `SIGRA_OAUTH__PROVIDERS`, or of a plugin's (`register_oauth_providers`). Has no state of a request.

    What it raises: `OAuthDenied`, `OAuthFailed` (with the reason for the operator), `OAuthUnavailable`.
    """

    @property
    def name(self) -> str:
        """Of the routes: `/oauth/{name}/…`."""
        ...

    @property
    def label(self) -> str:
        """What people know it by: `GitHub`."""
        ...

    @property
    def response_mode(self) -> ResponseMode:
        """How its answer comes: by a link, or by a form that its page posts."""
        ...

    @property
    def sign_up(self) -> bool:
        """Whether accounts are made for who comes from it."""
        ...

    @property
    def keeps_tokens(self) -> bool:
        """Whether the application wants its access tokens (`access_token(user, name)`)."""
        ...

    @property
    def ends_sessions(self) -> bool:
        """Whether it may have a place for `logout_url`, as far as is known without asking it."""
        ...

    async def authorization_url(self, asked: Asked) -> str:
        """Where the browser is sent."""
        ...

    async def answer(self, asked: Asked, parameters: Mapping[str, Sequence[str]]) -> Answer:
        """What a callback says: error or code, `iss` checked, code exchanged, everything verified.

        Args:
            parameters: Of the callback, all values of each.
        """
        ...

    async def refresh(self, tokens: Tokens) -> Tokens:
        """New tokens; the refresh token that holds from now on is in them.

        Raises:
            GrantLost: None will come any more (`invalid_grant`; RFC 6749, section 5.2).
            OAuthFailed: The answer cannot be trusted.
            OAuthUnavailable: It may later.
        """
        ...

    async def revoke(self, token: str, kind: Literal["access_token", "refresh_token"]) -> None:
        """End a token there (RFC 7009), where the provider has a place for that."""
        ...

    async def logout_url(self, id_token: str | None, back: str) -> str | None:
        """Where a browser ends its session there (RP-Initiated Logout 1.0); None when the provider has no place.

        Args:
            back: Where it is sent afterwards.
        """
        ...

    async def logged_out(self, logout_token: str) -> LoggedOut:
        """What a logout token says, verified (Back-Channel Logout 1.0, section 2.6).

        Raises:
            OAuthFailed: It does not hold.
        """
        ...

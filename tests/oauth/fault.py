"""What a provider can be told to do wrong: changes of what it says, by place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tests.oauth.keys import SigningKey

Document = dict[str, Any]
Change = Callable[[Any, Document], Any]
"""Of a JSON object that the provider, the first argument, is to send; a `Response` is sent in its place."""


def as_it_is(_: Any, document: Document) -> Any:
    return document


@dataclass(frozen=True, slots=True)
class Fault:
    """What a provider does wrong, or otherwise than most.

    Args:
        does: In a few words.
        outcome: What a callback is answered: `accepted`, `unverified` (challenge `email_verification`), or a code.
        cases: Hard cases.
        module: Of the OpenID Foundation's plans for relying parties.
        discovery: Changes the provider's configuration.
        keys: Changes its JWKS.
        callback: Changes the parameters of the callback: name to all its values.
        token: Changes the token answer.
        claims: Changes those of the ID token.
        header: Changes the ID token's.
        key: What signs the ID token.
        signed: Makes the ID token in another way, of header and claims.
        userinfo: Changes the UserInfo answer.
        instead: Answers in place of an endpoint of `PATHS`.
        warm: Whether somebody signs in before it goes wrong, a while ago, so that everything is cached.
    """

    does: str
    outcome: str = "oauth_failed"
    cases: tuple[int, ...] = ()
    module: str | None = None
    discovery: Change = as_it_is
    keys: Change = as_it_is
    callback: Change = as_it_is
    token: Change = as_it_is
    claims: Change = as_it_is
    header: Change = as_it_is
    key: Callable[[Any], SigningKey] = lambda provider: provider.key
    signed: Callable[[Any, Document, Document], str] | None = None
    userinfo: Change = as_it_is
    instead: Mapping[str, Callable[[Any, Request], Response]] = field(default_factory=dict)
    warm: bool = False


SOUND = Fault("nothing wrong", "accepted")

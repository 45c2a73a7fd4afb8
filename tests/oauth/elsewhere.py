"""A provider without a network: whoever comes back from it is who the code says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from sigra import Auth, hookimpl
from sigra.testing import Client
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.provider import Answer, Asked, Claims, LoggedOut, Provider, ResponseMode, Tokens

NAME = "elsewhere"


class Elsewhere:
    """A stranger's provider, that needs nothing but the protocol."""

    name = NAME
    label = "Elsewhere"
    response_mode: ResponseMode = "query"
    sign_up = True
    keeps_tokens = False

    async def authorization_url(self, asked: Asked) -> str:
        return f"https://elsewhere.example.com/?{urlencode({'state': asked.state})}"

    async def answer(self, asked: Asked, parameters: Mapping[str, Sequence[str]]) -> Answer:
        told = json.loads(parameters["code"][0])
        return Answer(Claims("https://elsewhere.example.com", **told), Tokens("an access token"))

    async def refresh(self, tokens: Tokens) -> Tokens:
        return tokens

    async def revoke(self, token: str, kind: Literal["access_token", "refresh_token"]) -> None:
        return None

    async def logout_url(self, id_token: str | None, back: str) -> str | None:
        return None

    async def logged_out(self, logout_token: str) -> LoggedOut:
        raise OAuthFailed("it tells nobody of a sign-out")


class Strangers:
    """Brings it."""

    name = "strangers"
    api = 1

    @hookimpl
    async def providers_for_oauth(self, auth: Auth) -> Sequence[Provider]:
        return [Elsewhere()]


async def begun(client: Client, subject: str, email: str | None, **more: Any) -> dict[str, str]:
    """Begin, and what comes back.

    Args:
        more: Of the start's body.
    """
    answer = await client.post(client.path(f"/oauth/{NAME}/start"), json=more)
    state = parse_qs(urlsplit(answer.json()["authorization_url"]).query)["state"][0]
    told = {"subject": subject, "email": email, "email_verified": email is not None}
    return {"state": state, "code": json.dumps(told)}

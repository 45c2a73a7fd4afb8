"""Authlib's client on our way out: what is asked at a provider's token and revocation endpoints."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from sigra_oauth.errors import OAuthFailed
from sigra_oauth.outbound import HEADERS, Outbound, json_of
from sigra_oauth.provider import Tokens

TOKEN_LENGTH = 16 * 1024
"""Characters."""

LONGEST = timedelta(days=3650)
"""Of a token's life: what is said to live longer has no end that matters."""


class TokenClient(AsyncOAuth2Client):  # type: ignore[misc]  # authlib has no types
    """One conversation with a provider; holds nothing afterwards."""

    def __init__(self, outbound: Outbound, client_id: str, secret: str | None, authentication: str) -> None:
        super().__init__(
            client_id=client_id,
            client_secret=secret,
            token_endpoint_auth_method=authentication,
            revocation_endpoint_auth_method=authentication,
            code_challenge_method="S256",
            transport=outbound,
            trust_env=False,
            headers=HEADERS,
        )
        self.register_client_auth_method(("client_secret_basic", _basic))

    def parse_response_token(self, response: Any) -> Any:
        """The answer of a token endpoint (RFC 6749, sections 5.1 and 5.2).

        Raises:
            OAuthError: The provider says why not.
            OAuthFailed: It is no such answer.
        """
        told = json_of(response.content, "the answer with the tokens")
        if not isinstance(told, dict):
            raise OAuthFailed("the answer with the tokens is no object")
        if told.get("error") or told.get("ok") is False:
            raise OAuthError(error=told.get("error"))
        if response.status_code not in (200, 201):
            raise OAuthFailed(f"the request for tokens was answered {response.status_code}")
        self.told: Mapping[str, Any] = told
        # Authlib would reckon with them, by the clock of the machine.
        self.token = {name: value for name, value in told.items() if name not in ("expires_at", "expires_in")}
        return told


def _basic(client: Any, method: str, uri: str, headers: MutableMapping[str, str], body: Any) -> tuple[Any, ...]:
    """Name and secret as RFC 6749, section 2.3.1, has them: encoded like a form first."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret or '')}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body


def read_tokens(told: Mapping[str, Any], clock: Callable[[], datetime], *, before: Tokens | None = None) -> Tokens:
    """The tokens in an answer.

    Args:
        before: What they take the place of: whatever is not given anew stays.

    Raises:
        OAuthFailed: They are none that can be used: of another type than bearer, or no texts.
    """
    kind = told.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise OAuthFailed("the tokens are of another type than bearer")
    access = _token(told, "access_token")
    if access is None:
        raise OAuthFailed("there is no access token in the answer")
    return Tokens(
        access_token=access,
        refresh_token=_token(told, "refresh_token") or (before.refresh_token if before else None),
        expires_at=_end(told.get("expires_in"), clock),
        scope=_scope(told.get("scope")) or (before.scope if before else None),
        id_token=before.id_token if before else _token(told, "id_token"),
    )


def error_of(content: bytes) -> str | None:
    """The code of an error answer; None when it has none."""
    try:
        told = json_of(content, "the answer")
    except OAuthFailed:
        return None
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, str) else None


def _token(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > TOKEN_LENGTH or not value.isascii() or not value.isprintable():
        raise OAuthFailed(f"the {name} in the answer is no token")
    return value


def _end(seconds: object, clock: Callable[[], datetime]) -> datetime | None:
    """When a token ends; some tell the seconds as text."""
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdecimal() and len(seconds) < 12:
        seconds = int(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return clock() + timedelta(seconds=seconds) if 0 < seconds < LONGEST.total_seconds() else None


def _scope(value: object) -> str | None:
    """Scopes, which some tell as a list."""
    text = " ".join(one for one in value if isinstance(one, str)) if isinstance(value, list) else value
    return text if isinstance(text, str) and text.isprintable() and 0 < len(text) <= TOKEN_LENGTH else None

"""Challenges: random, on the server, for one purpose, one browser and one use."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from sigra import Auth, Cookie, HeldToken, InvalidCredentials

COOKIE = "sigra-passkey"

REGISTER, SIGN_IN, FACTOR = "passkeys.register", "passkeys.sign_in", "passkeys.factor"
"""Purposes; none is accepted for another."""

CHALLENGE_BYTES = 32
"""Twice what Level 3, section 13.4.3, asks for."""

LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Held:
    """A challenge that was found and is not spent.

    Args:
        verify: Whether the user must be verified.
        bound: To what it belongs: the user of a registration, the pending sign-in of a factor.
        named: Whether its options named an account.
    """

    token: HeldToken
    challenge: bytes = field(repr=False)
    verify: bool
    bound: str | None
    named: bool

    async def spend(self, auth: Auth, tx: AsyncConnection) -> None:
        """Use it up.

        Raises:
            InvalidCredentials: Somebody else was first.
        """
        if not await auth.tokens.take(tx, self.token):
            raise InvalidCredentials


def new_challenge(auth: Auth) -> bytes:
    """A challenge that nobody has seen."""
    return auth.random(CHALLENGE_BYTES)


async def issue(
    auth: Auth,
    purpose: str,
    challenge: bytes,
    options: Mapping[str, Any],
    *,
    verify: bool,
    bound: str | None = None,
    named: bool = False,
) -> Response:
    """The answer with the options, the challenge kept until it is used, by this browser."""
    payload = {"challenge": bytes_to_base64url(challenge), "verify": verify, "bound": bound, "named": named}
    # A subject of its own: another tab's stays good.
    keep = partial(
        auth.tokens.issue,
        purpose=purpose,
        user=None,
        payload=payload,
        lifetime=LIFETIME,
        subject=str(uuid.uuid4()),
    )
    token = await auth.db.transaction(keep)
    response = JSONResponse(dict(options))
    auth.set_cookie(response, Cookie(COOKIE, token, int(LIFETIME.total_seconds())))
    return response


async def find(auth: Auth, request: Request, purpose: str) -> Held | None:
    """The browser's challenge of that purpose, while it is good."""
    async with auth.db.connect() as tx:
        token = await auth.tokens.find(tx, purpose, auth.cookie(request, COOKIE) or "")
    if token is None:
        return None
    payload = token.payload
    return Held(token, base64url_to_bytes(payload["challenge"]), payload["verify"], payload["bound"], payload["named"])


def forget(auth: Auth, response: Response) -> Response:
    """The same answer; the browser drops what was used."""
    auth.set_cookie(response, Cookie(COOKIE, "", 0))
    return response

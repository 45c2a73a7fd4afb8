"""Challenges: random, on the server, for one purpose, one browser and one use."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
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

MOST_TABS = 4
"""Challenges that a browser holds at once: each page that offers passkeys asks for one when it is opened."""

MARK = 8
"""Characters of a challenge by which its token is found among the browser's."""

LONGEST = 64
"""Characters of a mark and a token."""

ACTION = "passkeys.options"
"""What is counted: each request for options writes a row."""

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
        email: The canonical address that its options were for; empty when that was none, None when none was asked for.
    """

    token: HeldToken
    challenge: bytes = field(repr=False)
    verify: bool
    bound: str | None
    email: str | None = field(repr=False)

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
    request: Request,
    purpose: str,
    challenge: bytes,
    options: Mapping[str, Any],
    *,
    verify: bool,
    bound: str | None = None,
    email: str | None = None,
) -> Response:
    """The answer with the options, the challenge kept until it is used, by this browser."""
    text = bytes_to_base64url(challenge)
    payload = {"challenge": text, "verify": verify, "bound": bound, "email": email}
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
    _hold(auth, response, [f"{text[:MARK]}{token}", *_tokens(auth, request)[: MOST_TABS - 1]])
    return response


async def find(auth: Auth, request: Request, purpose: str, challenge: str) -> Held | None:
    """The challenge that was answered, while the browser holds it and it is good.

    Args:
        challenge: As the answer has it; nothing is proven by it.
    """
    tokens = [one.removeprefix(challenge[:MARK]) for one in _its(auth, request, challenge)]
    async with auth.db.connect() as tx:
        token = await auth.tokens.find(tx, purpose, tokens[0] if tokens else "")
    if token is None:
        return None
    payload = token.payload
    return Held(token, base64url_to_bytes(payload["challenge"]), payload["verify"], payload["bound"], payload["email"])


def forget(auth: Auth, request: Request, response: Response, challenge: str) -> Response:
    """The same answer; the browser drops what was used, and keeps what other tabs have asked for."""
    used = _its(auth, request, challenge)
    _hold(auth, response, [one for one in _tokens(auth, request) if one not in used])
    return response


def _tokens(auth: Auth, request: Request) -> list[str]:
    """What the browser holds, the newest first: the beginning of each challenge, and its token."""
    return [one for one in (auth.cookie(request, COOKIE) or "").split(".") if MARK < len(one) <= LONGEST]


def _its(auth: Auth, request: Request, challenge: str) -> list[str]:
    """What the browser holds of a challenge."""
    return [one for one in _tokens(auth, request) if len(challenge) > MARK and one.startswith(challenge[:MARK])]


def _hold(auth: Auth, response: Response, tokens: Sequence[str]) -> None:
    seconds = int(LIFETIME.total_seconds()) if tokens else 0
    auth.set_cookie(response, Cookie(COOKIE, ".".join(tokens), seconds))

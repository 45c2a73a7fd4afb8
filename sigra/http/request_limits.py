"""Bounds on what a stranger may make the mount path wait for or hold in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sigra.errors import PayloadTooLarge, RequestTimeout, SigraError
from sigra.http import body, exchange
from sigra.http.turnstile import Turnstile

MAX_BODY = 64 * 1024
"""Octets of a body on the mount path."""

SECONDS = 30.0
"""For the whole body to arrive."""


class RequestLimits:
    """Wraps an ASGI application; its `receive` raises `PayloadTooLarge` or `RequestTimeout`, nothing is buffered.

    Requests begin one a turn of the loop, and go on so when their body has come: a crowd keeps nobody else waiting.

    Also where all who read the body below find each other's result.

    Args:
        max_body: Octets.
        seconds: From the first reading to the end of the body.
    """

    def __init__(self, app: ASGIApp, *, max_body: int = MAX_BODY, seconds: float = SECONDS) -> None:
        self._app = app
        self._max_body = max_body
        self._seconds = seconds
        self._turnstile = Turnstile()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._turnstile.pass_through()
        limited = _Limited(scope, receive, self._turnstile, self._max_body, self._seconds)
        shared: dict[str, Any] = {}
        if exchange.KEY in scope:
            exchange.of(HTTPConnection(scope)).body = shared
        await self._app({**scope, body.KEY: shared}, limited, send)


class _Limited:
    """A `receive` that counts."""

    def __init__(self, scope: Scope, receive: Receive, turnstile: Turnstile, max_body: int, seconds: float) -> None:
        self._receive, self._turnstile = receive, turnstile
        self._left = max_body
        self._seconds = seconds
        self._deadline: float | None = None
        self._complete = False
        self._failed: SigraError | None = _declared_too_large(scope, max_body)

    async def __call__(self) -> Message:
        if self._failed is not None:
            raise self._failed
        if self._complete:
            # What follows is news of the connection, which may take as long as the answer does.
            return await self._receive()
        message = await self._in_time()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._failed = PayloadTooLarge()
            raise self._failed
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        if self._complete:
            await self._turnstile.pass_through()
        return message

    async def _in_time(self) -> Message:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            self._failed = RequestTimeout()
            raise self._failed from None


def _declared_too_large(scope: Scope, max_body: int) -> SigraError | None:
    declared = Headers(scope=scope).get("content-length", "")
    if not (declared.isascii() and declared.isdecimal()):
        return None
    digits = declared.lstrip("0")
    too_large = len(digits) > len(str(max_body)) or int(digits or 0) > max_body
    return PayloadTooLarge() if too_large else None

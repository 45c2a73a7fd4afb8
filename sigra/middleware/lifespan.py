"""The life span protocol around any application, also one that does not speak it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("sigra")


class LifespanMiddleware:
    """Starts Sigra before the application and ends it afterwards, also when the application knows no life span.

    Args:
        start: Called before the application's own start-up.
        stop: Called after its shutdown.
    """

    def __init__(self, app: ASGIApp, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self.app, self.start, self.stop = app, start, stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        seen: set[str] = set()

        async def received() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
            seen.add(message["type"])
            return message

        async def sent(message: Message) -> None:
            seen.add(message["type"])
            if message["type"].startswith("lifespan.shutdown"):
                await self.stop()
            await send(message)

        try:
            await self.app(scope, received, sent)
        except Exception:
            # An application without a life span may raise on the unknown scope, or even in the middle of start-up;
            # servers take both as "unsupported", and so do we.
            if seen & {"lifespan.startup.complete", "lifespan.startup.failed"}:
                raise
            _log.debug("the application has no life span", exc_info=True)
        await self._finish(seen, received, sent)

    async def _finish(self, seen: set[str], received: Receive, sent: Send) -> None:
        """What the application left undone of the protocol."""
        if "lifespan.startup.failed" in seen:
            return
        if "lifespan.startup" not in seen:
            await received()
        if "lifespan.startup.complete" not in seen:
            await sent({"type": "lifespan.startup.complete"})
        if "lifespan.shutdown" not in seen:
            await received()
        if not seen & {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await sent({"type": "lifespan.shutdown.complete"})

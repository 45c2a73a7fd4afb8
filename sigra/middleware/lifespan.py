"""The life span protocol around any application, also one that does not speak it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sigra.errors import SigraError

_log = logging.getLogger("sigra")

STARTING, STARTED, FAILED = "lifespan.startup", "lifespan.startup.complete", "lifespan.startup.failed"
ENDING, ENDED = "lifespan.shutdown", "lifespan.shutdown.complete"


YOUNG = 10_000
"""Objects that are made before garbage among them is looked for: 64 requests under way make some 2,000 that live."""


class LifespanMiddleware:
    """Starts Sigra before the application and ends it afterwards, also when the application knows no life span.

    Args:
        start: Called before the application's own start-up.
        stop: Called after its shutdown.
        gc_freeze: Until the shutdown keep what is there after start-up out of full garbage collections, and look for
            young garbage less often.
    """

    def __init__(
        self,
        app: ASGIApp,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        *,
        gc_freeze: bool = False,
    ) -> None:
        self.app, self.start, self.stop, self.gc_freeze = app, start, stop, gc_freeze
        self._thresholds: tuple[int, int, int] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            await self._live(scope, _Span(self, receive, send))
        finally:
            self.collect_as_before()  # also when it was cut off, or broke off

    async def _live(self, scope: Scope, span: _Span) -> None:
        try:
            await self.app(scope, span.receive, span.send)
        except _StartFailed:
            return
        except Exception:
            # An application without a life span may raise on the unknown scope, or even in the middle of start-up;
            # servers take both as "unsupported", and so do we. One that told of its own failure is no such.
            if span.seen & {STARTED, FAILED}:
                raise
            _log.debug("the application has no life span", exc_info=True)
        with suppress(_StartFailed):
            await span.finish()

    def collect_less(self) -> None:
        """Begin to serve; a second time it does nothing."""
        if self.gc_freeze and self._thresholds is None:
            gc.freeze()
            self._thresholds = young, *older = gc.get_threshold()
            # 0 is switched off altogether.
            gc.set_threshold(young and max(young, YOUNG), *older)

    def collect_as_before(self) -> None:
        """Serve no more; a second time it does nothing."""
        if self._thresholds:
            gc.unfreeze()
            gc.set_threshold(*self._thresholds)
            self._thresholds = None


class _StartFailed(Exception):
    """Ends the application's part in a start-up that has failed, and was told to the server."""


class _Span:
    """One life span: what was said on either side."""

    def __init__(self, middleware: LifespanMiddleware, receive: Receive, send: Send) -> None:
        self._middleware, self._receive, self._send = middleware, receive, send
        self.seen: set[str] = set()

    async def receive(self) -> Message:
        message = await self._receive()
        self.seen.add(message["type"])
        if message["type"] == STARTING:
            await self._start()
        return message

    async def send(self, message: Message) -> None:
        if FAILED in self.seen:
            return  # told already; what the application makes of it is nothing new
        self.seen.add(message["type"])
        if message["type"] == STARTED:
            self._middleware.collect_less()
        if message["type"].startswith(ENDING):
            self._middleware.collect_as_before()
            await self._middleware.stop()
        await self._send(message)

    async def finish(self) -> None:
        """What the application left undone of the protocol."""
        if FAILED in self.seen:
            return
        if STARTING not in self.seen:
            await self.receive()
        if STARTED not in self.seen:
            await self.send({"type": STARTED})
        if ENDING not in self.seen:
            await self.receive()
        if not self.seen & {ENDED, "lifespan.shutdown.failed"}:
            await self.send({"type": ENDED})

    async def _start(self) -> None:
        """Start, or tell the server why not, which ends it."""
        try:
            await self._middleware.start()
        except Exception as error:
            told = str(error)
            if not isinstance(error, SigraError):
                # A driver's own text may hold a URL with a password.
                _log.exception("a resource could not be opened")
                told = f"A resource could not be opened ({type(error).__name__})."
            await self.send({"type": FAILED, "message": told})
            raise _StartFailed from error

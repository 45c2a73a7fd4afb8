"""Identity into the scope, refusals into answers: the frame around every request."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sigra import hookspecs
from sigra.errors import SigraError
from sigra.events import Event
from sigra.hooks import Calls
from sigra.http import exchange
from sigra.http.client import TrustedProxies
from sigra.http.cookies import set_cookie
from sigra.http.exchange import Exchange
from sigra.http.headers import MOUNT_HEADERS
from sigra.middleware.paths import is_mounted, is_skipped, set_identity
from sigra.middleware.refusals import Refusals
from sigra.middleware.resolver import Resolver
from sigra.middleware.sockets import CLOSE_FORBIDDEN, CLOSE_UNAUTHENTICATED, OpenSocket
from sigra.models import Cookie
from sigra.protocols import Auth

_SOCKET_ENDS = ("websocket.close", "websocket.http.response.start")


class IdentityMiddleware:
    """Puts `sigra.user`, `sigra.identity` and `sigra.auth` into a copy of the scope, and answers refusals.

    Args:
        ready: Awaited before the first request: starts Sigra when no life span did.
        proxies: Whose word counts for the client's address and the scheme.
        tell: Takes the facts of a request when it has been answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        auth: Auth,
        calls: Calls,
        resolver: Resolver,
        refusals: Refusals,
        ready: Callable[[], Awaitable[None]],
        proxies: TrustedProxies,
        tell: Callable[[Sequence[Event]], None],
    ) -> None:
        self.app, self.auth, self.calls, self.resolver, self.refusals = app, auth, calls, resolver, refusals
        self.ready, self.proxies, self.tell = ready, proxies, tell
        self._checks = bool(calls.asked(hookspecs.check_request))
        self.decorates = bool(calls.asked(hookspecs.before_response))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        notes = Exchange(scope, self.proxies.client_address)
        scope = {**scope, "sigra.auth": self.auth, exchange.KEY: notes}
        if self.proxies.networks:
            scope["scheme"] = self.proxies.scheme(scope)
        set_identity(scope, None)
        if is_skipped(self.auth.settings, scope):
            await self.app(scope, receive, send)
            return
        answer = _Answer(self, scope, receive, send, notes)
        token = exchange.current.set(notes)
        try:
            await self.ready()
            resolved = await self.resolver.resolve(scope)
            answer.dead = resolved.dead
            notes.identity, notes.by_cookie = resolved.identity, resolved.by_cookie
            set_identity(scope, resolved.identity)
            if self._checks:
                await self.calls.each(self.auth, hookspecs.check_request, request=HTTPConnection(scope))
            if scope["type"] == "websocket":
                receive = self._of_socket(scope, answer, send)
            await self.app(scope, receive, answer.send)
        except SigraError as error:
            await answer.refuse(error)
        finally:
            exchange.current.reset(token)
            if notes.events:
                self.tell(notes.events)

    def _of_socket(self, scope: Scope, answer: _Answer, send: Send) -> Receive:
        """What an application receives from a socket."""
        handshake = _Handshake(answer.receive)
        answer.receive = handshake.opening
        if scope["sigra.identity"] is None:
            return handshake.receive
        return OpenSocket(self.resolver, self.auth, scope, handshake.receive, send).receive


class _Handshake:
    """The messages of a WebSocket, the first of which an application and a refusal after it both may read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._opening: Message | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.connect":
            self._opening = message
        return message

    async def opening(self) -> Message:
        """`websocket.connect`, read already or not."""
        return self._opening or await self.receive()


class _Answer:
    """The answer of one request on its way out: headers added, refusals told as what they are."""

    __slots__ = (
        "_scope",
        "_send",
        "accepted",
        "dead",
        "middleware",
        "mounted",
        "notes",
        "receive",
        "replaced",
        "started",
    )

    def __init__(
        self, middleware: IdentityMiddleware, scope: Scope, receive: Receive, send: Send, notes: Exchange
    ) -> None:
        self.middleware, self._scope, self.receive, self._send, self.notes = middleware, scope, receive, send, notes
        self.dead: tuple[str, ...] = ()
        self.mounted = is_mounted(middleware.auth.settings, scope)
        self.started = self.accepted = self.replaced = False

    async def send(self, message: Message) -> None:
        if self.replaced:
            return
        kind = message["type"]
        if kind == "http.response.start":
            # A guard's refusal that the framework took for a crash is answered as what it is.
            if message["status"] == 500 and self._unhandled():
                await self._replace()
                return
            self.started = True
            if self.dead or self.mounted or self.middleware.decorates:
                await self._decorate(message)
        elif kind == "websocket.accept":
            self.accepted = True
        elif kind in _SOCKET_ENDS and self._unhandled():
            await self._replace()
            return
        await self._send(message)

    def _unhandled(self) -> bool:
        """Whether a guard refused, and no other error is what the framework now reports."""
        refusal, current = self.notes.refusal, sys.exc_info()[1]
        if refusal is None or current is None:
            return refusal is not None
        while current is not None and current is not refusal:
            current = current.__cause__ or current.__context__
        return current is refusal

    async def _replace(self) -> None:
        assert self.notes.refusal is not None
        await self.refuse(self.notes.refusal)
        self.replaced = True

    async def refuse(self, error: SigraError) -> None:
        """Answer an error that came out of the application, if it is not answered yet."""
        if self.replaced:
            return
        if self.accepted:
            code = CLOSE_UNAUTHENTICATED if error.status == 401 else CLOSE_FORBIDDEN
            await self._send({"type": "websocket.close", "code": code, "reason": error.code})
            return
        if self.started:
            raise error
        await self._refuse(error)

    async def _refuse(self, error: SigraError) -> None:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._decorate(message)
            await self._send(message)

        await self.middleware.refusals.answer(self._scope, self.receive, send, error)

    async def _decorate(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        if self.mounted:
            for name, value in MOUNT_HEADERS.items():
                headers.setdefault(name, value)
        self._bury(headers)
        if self.middleware.decorates:
            await self._ask(headers)

    def _bury(self, headers: MutableHeaders) -> None:
        """Delete the dead cookies, but none that this answer sets anew."""
        settings = self.middleware.auth.settings
        for name in self.dead:
            anew = f"{settings.cookie_name(name)}="
            if not any(line.startswith(anew) for line in headers.getlist("set-cookie")):
                headers.append("set-cookie", set_cookie(Cookie(name, "", 0), settings))

    async def _ask(self, headers: MutableHeaders) -> None:
        middleware = self.middleware
        answers = await middleware.calls.tell(
            middleware.auth,
            hookspecs.before_response,
            request=HTTPConnection(self._scope),
            headers=Headers(raw=list(headers.raw)),
        )
        for answer in answers:
            for name, value in answer.items():
                headers.append(name, value)

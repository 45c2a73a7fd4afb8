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
from sigra.middleware.resolver import Resolved, Resolver
from sigra.middleware.sockets import CLOSE_FORBIDDEN, CLOSE_UNAUTHENTICATED, OpenSocket
from sigra.models import Cookie
from sigra.protocols import Auth

_SOCKET_ENDS = ("websocket.close", "websocket.http.response.start")


class IdentityMiddleware:
    """Puts `sigra.user`, `sigra.identity` and `sigra.auth` into a copy of the scope, and answers refusals.

    Args:
        ready: What a request waits for: starts Sigra when no life span did.
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
        ready: Callable[[], Awaitable[None] | None],
        proxies: TrustedProxies,
        tell: Callable[[Sequence[Event]], None],
    ) -> None:
        self.app, self.auth, self.calls, self.resolver, self.refusals = app, auth, calls, resolver, refusals
        self.ready, self.tell = ready, tell
        self.others = app
        """Where goes what is no request, such as a life span."""
        self.mount_path = auth.settings.mount_path
        self.decorates = bool(calls.asked(hookspecs.before_response))
        self._checks = bool(calls.asked(hookspecs.check_request))
        self._address_of, self._scheme = proxies.client_address, proxies.scheme if proxies.networks else None
        self._skips, self.starlette_user = bool(auth.settings.skip_paths), auth.settings.starlette_user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.others(scope, receive, send)
            return
        scope = self._noted(scope)
        notes: Exchange = scope[exchange.KEY]
        if self._skips and is_skipped(self.auth.settings, scope):
            await self.app(scope, receive, send)
            return
        answer = _Answer(self, scope, receive, send, notes)
        token = exchange.current.set(notes)
        try:
            starting = self.ready()
            if starting is not None:
                await starting
            answer.take(await self.resolver.resolve(scope))
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

    def _noted(self, scope: Scope) -> Scope:
        """The scope of a request that nobody has looked at, with its notes."""
        if type(scope["headers"]) is not list:
            # Any iterable may be given (ASGI, "HTTP Connection Scope"), also one that ends when it was read once.
            scope = {**scope, "headers": list(scope["headers"])}
        notes = Exchange(scope, self._address_of)
        scope = {**scope, "sigra.auth": self.auth, "sigra.identity": None, "sigra.user": None, exchange.KEY: notes}
        if self.starlette_user:
            set_identity(scope, None, self.starlette_user)
        if self._scheme is not None:
            scope["scheme"] = self._scheme(scope)
        return scope

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

    dead: tuple[str, ...] = ()
    mounted = started = accepted = replaced = _decorates = False

    def __init__(
        self, middleware: IdentityMiddleware, scope: Scope, receive: Receive, send: Send, notes: Exchange
    ) -> None:
        self.middleware, self._scope, self.receive, self._send, self.notes = middleware, scope, receive, send, notes
        if middleware.decorates:
            self._decorates = True
        if is_mounted(middleware.mount_path, scope):
            self.mounted = self._decorates = True

    def take(self, resolved: Resolved) -> None:
        """Take down who asks, and delete the dead cookies with the answer."""
        identity, by_cookie, dead = resolved
        if dead:
            self.dead, self._decorates = dead, True
        if identity is not None:
            self.notes.identity, self.notes.by_cookie = identity, by_cookie
            set_identity(self._scope, identity, self.middleware.starlette_user)

    def send(self, message: Message) -> Awaitable[None]:
        """Send on, as it is where nothing is to be added and nothing may have been refused."""
        kind = message["type"]
        if kind == "http.response.body":
            return self._send(message)
        if kind == "http.response.start" and message["status"] != 500 and not self._decorates:
            self.started = True
            return self._send(message)
        return self._look_and_send(message, kind)

    async def _look_and_send(self, message: Message, kind: str) -> None:
        if self.replaced:
            return
        if kind == "http.response.start":
            # A guard's refusal that the framework took for a crash is answered as what it is.
            if message["status"] == 500 and self._unhandled():
                await self._replace()
                return
            self.started = True
            if self._decorates:
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
        self.replaced, self._send = True, _nowhere

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


async def _nowhere(message: Message) -> None:
    """Takes what the framework still says of an answer that another one has taken the place of."""

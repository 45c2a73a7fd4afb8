"""The plugins' routes below the mount path."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sigra.errors import (
    Conflict,
    InternalError,
    InvalidCredentials,
    Malformed,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Refused,
    SessionRequired,
    SigraError,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from sigra.flows import Seam
from sigra.http.answers import FORM_METHOD, FORM_METHODS, destination, is_form, target
from sigra.http.body import read_mapping
from sigra.http.request_limits import RequestLimits
from sigra.http.routing import KEY, RouteTable
from sigra.middleware.paths import below, is_mounted
from sigra.middleware.refusals import PAGES, Refusals
from sigra.models import Identity
from sigra.settings import Settings

_log = logging.getLogger("sigra")


class RoutesMiddleware:
    """Serves the plugins' routes below the mount path, within its limits; the rest goes to the application."""

    def __init__(self, app: ASGIApp, settings: Settings, table: RouteTable, seam: Seam, refusals: Refusals) -> None:
        self.app, self.settings, self.seam, self.refusals = app, settings, seam, refusals
        self._table, self._mount_path = table, settings.mount_path
        refusals.pages = frozenset(page for page in PAGES if table.has("GET", page))
        self._routes = refusals.cors(RequestLimits(self._serve))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Most paths are told at a glance, and what has none is no request.
        mine = self._mount_path in scope.get("path", "") and self._is_mine(scope)
        return (self._routes if mine else self.app)(scope, receive, send)

    def _is_mine(self, scope: Scope) -> bool:
        return scope["type"] in ("http", "websocket") and is_mounted(self._mount_path, scope)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = started or message["type"] in ("http.response.start", "websocket.accept")
            await send(message)

        try:
            await self._dispatch(scope, receive, sent)
        except Exception as error:
            if started:
                raise
            raise await self._answerable(HTTPConnection(scope), error) from error

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            raise NotFound
        scope = below(scope, self.settings.mount_path)
        # A route open to foreign posts is no way to its neighbours, which are not.
        if scope["method"] == "POST" and is_form(HTTPConnection(scope)) and not self._table.is_open(scope):
            receive = await _read_form_method(scope, receive)
            send = _returning(send, destination(self.settings, target(Request(scope))))
        try:
            found = self._table.match(scope)
        except MethodNotAllowed as error:
            if scope["method"] != "OPTIONS":
                raise
            await Response(status_code=204, headers=dict(error.headers))(scope, receive, send)
            return
        identity: Identity | None = scope["sigra.identity"]
        if identity is None and found.secured:
            raise Unauthenticated
        if identity is not None and identity.session_id is None and not found.any_identity:
            raise SessionRequired
        await found.route.handle({**scope, **found.child_scope, KEY: found.route}, receive, send)

    async def _answerable(self, connection: HTTPConnection, error: Exception) -> SigraError:
        """The error that the client is told: ours as it is, wrong proofs counted, anything else without its text."""
        try:
            if isinstance(error, InvalidCredentials):
                return await self.seam.count(connection, error)
        except SigraError as refusal:
            return refusal
        if isinstance(error, SigraError):
            return error
        if isinstance(error, HTTPException):
            return _from_starlette(error)
        _log.exception("a route of the mount path failed", exc_info=error)
        return InternalError()


async def _read_form_method(scope: Scope, receive: Receive) -> Receive:
    """Let a form say DELETE or PATCH, which HTML cannot; the body is given again to whoever reads it next."""
    request = Request(scope, receive)
    fields = await read_mapping(request)
    unread = [await request.body()]
    if FORM_METHOD in fields:
        if fields[FORM_METHOD] not in FORM_METHODS:
            raise Malformed(f"{FORM_METHOD} is none of {', '.join(FORM_METHODS)}.")
        scope["method"] = fields[FORM_METHOD]

    async def again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return again


def _returning(send: Send, location: str) -> Send:
    """For a form, that it was done is told by going on to the page that it names (RFC 9110, 15.4.4).

    Done is an answer without content or with JSON, which is no page.
    """
    done = False

    async def sent(message: Message) -> None:
        nonlocal done
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            is_json = "application/json" in headers.get("content-type", "")
            done = message["status"] == 204 or (message["status"] in (200, 202) and is_json)
            if done:
                del headers["content-type"]
                headers.update({"location": location, "content-length": "0"})
                message = {**message, "status": 303, "headers": headers.raw}
        elif done:
            message = {"type": "http.response.body"}
        await send(message)

    return sent


def _from_starlette(error: HTTPException) -> SigraError:
    """What an endpoint raised in Starlette's terms, in ours."""
    kinds: dict[int, type[SigraError]] = {
        400: Malformed,
        401: Unauthenticated,
        403: Refused,
        404: NotFound,
        409: Conflict,
        413: PayloadTooLarge,
        415: UnsupportedMediaType,
        503: Unavailable,
    }
    return kinds.get(error.status_code, InternalError if error.status_code >= 500 else Malformed)()

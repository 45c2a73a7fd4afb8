"""How an error is answered, wherever in the request it was raised."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sigra import hookspecs
from sigra.errors import (
    AssuranceRequired,
    ConfigurationError,
    InternalError,
    ReauthenticationRequired,
    SealBroken,
    SigraError,
    Unauthenticated,
)
from sigra.hooks import Calls
from sigra.http import body, exchange
from sigra.http.answers import is_form, see_other, wants_page
from sigra.http.problems import problem
from sigra.http.redirects import safe_next, wanted
from sigra.middleware.paths import is_mounted
from sigra.protocols import Auth

_log = logging.getLogger("sigra")

CLOSE_POLICY = 1008
"""Policy violation (RFC 6455, section 7.4.1)."""

LOGIN, REAUTHENTICATE, ACCOUNT = "/login", "/reauthenticate", "/account"
PAGES = (LOGIN, REAUTHENTICATE, ACCOUNT)
"""Where people are sent to, when some plugin has the page; relative to the mount path."""


_ENDED_BY_PROVING_IT_AGAIN = (ReauthenticationRequired, AssuranceRequired)


class Refusals:
    """How an error is answered on a connection: problem or page, with CORS; a WebSocket is denied or closed.

    Args:
        trusted_origins: Origins whose scripts may read the refusal.
    """

    def __init__(self, auth: Auth, calls: Calls, trusted_origins: Sequence[str]) -> None:
        self.auth, self.calls, self.trusted_origins = auth, calls, trusted_origins
        self.pages: frozenset[str] = frozenset()
        """Those of `PAGES` that are there; set by whoever serves the routes."""

    async def answer(self, scope: Scope, receive: Receive, send: Send, error: SigraError) -> None:
        """Answer a connection that has not been answered yet."""
        if isinstance(error, ConfigurationError):
            # A plugin found out too late; its text is the operator's.
            _log.error("%s", error)
            error = InternalError()
        if isinstance(error, SealBroken):
            _log.error("%s", error)
        if scope["type"] == "websocket":
            await self._deny(scope, receive, send, error)
            return
        response = await self.response(HTTPConnection(scope), error)
        await self.cors(response)(scope, receive, send)

    async def response(self, connection: HTTPConnection, error: SigraError) -> Response:
        """The answer to an error on the face that was asked: the form's page again, the way in, page or problem."""
        # What was read of the body is there for the page; nothing more is waited for.
        read = {"mapping": exchange.typed(connection)}
        connection = HTTPConnection({**connection.scope, body.KEY: read})
        try:
            response = await self._rendered(connection, error)
        except SigraError:
            response = None  # a page that fails is reported by the loop; the error itself is still told
        if response is None:
            return self._way_in(connection, error) or problem(error)
        response.headers.update(error.headers)
        return response

    async def _rendered(self, connection: HTTPConnection, error: SigraError) -> Response | None:
        page = self._form_page(connection)
        if page is not None and self._way_in(connection, error) is not None:
            return None  # the page again would be refused again
        response = None
        if page is not None:
            response = await self.calls.first(
                self.auth,
                hookspecs.render_page,
                request=Request(connection.scope),
                page=page,
                context={"error": error},
                status=error.status,
            )
        if response is not None:
            return response
        return await self.calls.first(self.auth, hookspecs.render_error, request=connection, error=error)

    def _form_page(self, connection: HTTPConnection) -> str | None:
        """The page whose form was posted here: a page has the path that its form posts to."""
        path = self._mounted(connection)
        return None if path is None or not is_form(connection) else path.removeprefix("/")

    def _mounted(self, connection: HTTPConnection) -> str | None:
        """The path relative to the mount path; None elsewhere."""
        settings = self.auth.settings
        if not is_mounted(settings.mount_path, connection.scope):
            return None
        return get_route_path(connection.scope).removeprefix(settings.mount_path)

    # The way in

    def _way_in(self, connection: HTTPConnection, error: SigraError) -> Response | None:
        """For a person whom a sign-in would let through: its page, and the way back."""
        page = self._page_for(connection, error)
        if page is None or page == self._mounted(connection):
            return None
        back = safe_next(self._back(connection), self.auth.settings.base_url)
        path = f"{self.auth.settings.mount_path}{page}"
        response = see_other(path if back is None else f"{path}?next={quote(back, safe='')}")
        response.headers["cache-control"] = "no-store"
        return response

    def _page_for(self, connection: HTTPConnection, error: SigraError) -> str | None:
        ways: tuple[str, ...] = ()
        if isinstance(error, Unauthenticated) and wants_page(connection):
            ways = (LOGIN,)
        if isinstance(error, _ENDED_BY_PROVING_IT_AGAIN) and self._would_help(connection, error):
            ways = (REAUTHENTICATE, LOGIN)
        return next((page for page in ways if page in self.pages), None)

    def _would_help(self, connection: HTTPConnection, error: SigraError) -> bool:
        """Whether a person is there who could prove what is missing."""
        if not wants_page(connection) and self._form_page(connection) is None:
            return False
        return not (isinstance(error, AssuranceRequired) and error.in_vain)

    def _back(self, connection: HTTPConnection) -> str | None:
        """Where the person goes on: the page that was opened, or the one on which the form stands."""
        path = self._mounted(connection)
        if path == REAUTHENTICATE:
            return wanted(connection.query_params)
        if wants_page(connection):
            return _target(connection.scope)
        return f"{self.auth.settings.mount_path}{ACCOUNT}" if ACCOUNT in self.pages else None

    def cors(self, app: ASGIApp) -> ASGIApp:
        """`app` readable by the trusted origins' scripts (Fetch standard, "CORS protocol")."""
        if not self.trusted_origins:
            return app
        readable = self._readable(app)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            trusted = Headers(scope=scope).get("origin") in self.trusted_origins
            await (readable if trusted else app)(scope, receive, send)

        return answer

    def _readable(self, app: ASGIApp) -> ASGIApp:
        return CORSMiddleware(
            app,
            allow_origins=self.trusted_origins,
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=("authorization", "content-type"),
            allow_credentials=True,
            expose_headers=("retry-after", "www-authenticate"),
        )

    async def _deny(self, scope: Scope, receive: Receive, send: Send, error: SigraError) -> None:
        await receive()
        if "websocket.http.response" in scope.get("extensions", {}):
            await problem(error)(scope, receive, send)
            return
        await send({"type": "websocket.close", "code": CLOSE_POLICY, "reason": error.code})


def _target(scope: Scope) -> str:
    """Path and query as they were sent; bytes that are no text stay none, and so are no target."""
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    sent: bytes = b"?".join((path, scope["query_string"])) if scope["query_string"] else path
    return sent.decode("utf-8", "surrogateescape")

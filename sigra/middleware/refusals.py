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
    SigraError,
    Unauthenticated,
)
from sigra.hooks import Calls
from sigra.http.answers import is_form, see_other, wants_page
from sigra.http.problems import problem
from sigra.http.redirects import safe_next
from sigra.middleware.paths import is_mounted
from sigra.protocols import Auth

_log = logging.getLogger("sigra")

CLOSE_POLICY = 1008
"""Policy violation (RFC 6455, section 7.4.1)."""

_ENDED_BY_SIGNING_IN = (Unauthenticated, ReauthenticationRequired, AssuranceRequired)


class Refusals:
    """How an error is answered on a connection: problem or page, with CORS; a WebSocket is denied or closed.

    Args:
        trusted_origins: Origins whose scripts may read the refusal.
    """

    def __init__(self, auth: Auth, calls: Calls, trusted_origins: Sequence[str]) -> None:
        self.auth, self.calls, self.trusted_origins = auth, calls, trusted_origins
        self.login_page: str | None = None
        """The path where people sign in; set by whoever serves the routes, when one of them is that page."""

    async def answer(self, scope: Scope, receive: Receive, send: Send, error: SigraError) -> None:
        """Answer a connection that has not been answered yet."""
        if isinstance(error, ConfigurationError):
            # A plugin found out too late; its text is the operator's.
            _log.error("%s", error)
            error = InternalError()
        if scope["type"] == "websocket":
            await self._deny(scope, receive, send, error)
            return
        response = await self.response(HTTPConnection(scope), error)
        await self.cors(response)(scope, receive, send)

    async def response(self, connection: HTTPConnection, error: SigraError) -> Response:
        """The answer to an error on the face that was asked: the form's page again, the way in, page or problem."""
        try:
            response = await self._rendered(connection, error)
        except SigraError:
            response = None  # a page that fails is reported by the loop; the error itself is still told
        if response is None:
            return self._way_to_sign_in(connection, error) or problem(error)
        response.headers.update(error.headers)
        return response

    async def _rendered(self, connection: HTTPConnection, error: SigraError) -> Response | None:
        page = self._form_page(connection)
        if page is None:
            return await self.calls.first(self.auth, hookspecs.render_error, request=connection, error=error)
        return await self.calls.first(
            self.auth,
            hookspecs.render_page,
            request=Request(connection.scope),
            page=page,
            context={"error": error},
            status=error.status,
        )

    def _form_page(self, connection: HTTPConnection) -> str | None:
        """The page whose form was posted here: a page has the path that its form posts to."""
        settings = self.auth.settings
        if not is_mounted(settings, connection.scope) or not is_form(connection):
            return None
        return get_route_path(connection.scope).removeprefix(f"{settings.mount_path}/")

    def _way_to_sign_in(self, connection: HTTPConnection, error: SigraError) -> Response | None:
        """For a person who opened a page of the application, and whom signing in would let through."""
        # Below the mount path is the sign-in page itself: nobody is sent there in a circle.
        if self.login_page is None or is_mounted(self.auth.settings, connection.scope):
            return None
        if not isinstance(error, _ENDED_BY_SIGNING_IN) or not wants_page(connection):
            return None
        back = safe_next(_target(connection.scope), self.auth.settings.base_url)
        response = see_other(self.login_page if back is None else f"{self.login_page}?next={quote(back, safe='')}")
        response.headers["cache-control"] = "no-store"
        return response

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

"""A client that speaks to an application in the same event loop, and keeps cookies as a browser does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from http.cookiejar import CookieJar
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from sigra.core import Sigra
from sigra.models import Login, User
from sigra.testing.accounts import PASSWORD
from sigra.testing.websocket import WebSocket, connected

ADDRESS = ("203.0.113.7", 50_000)
"""Of the range that is kept for examples (RFC 5737): the client is never loopback by accident."""


class Client(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` whose requests go to `app`, at the base URL of `auth`'s settings.

    Args:
        app: What `auth.wrap(…)` returned.
        address: The peer that the application sees.
        headers: Sent with every request.
        cookies: A jar to share with another client; a new one when omitted.
        raises: Whether an error that leaves the application is raised here, else it is a 500.
    """

    def __init__(
        self,
        app: ASGIApp,
        auth: Sigra,
        *,
        address: tuple[str, int] = ADDRESS,
        headers: Mapping[str, str] | None = None,
        cookies: CookieJar | None = None,
        raises: bool = True,
    ) -> None:
        super().__init__(
            transport=httpx2.ASGITransport(app, raise_app_exceptions=raises, client=address),
            base_url=auth.settings.base_url,
            headers=dict(headers or {}),
            cookies=cookies,
            trust_env=False,
        )
        self.app, self.sigra, self.address, self.raises = app, auth, address, raises

    @property
    def signed_in(self) -> bool:
        """Whether a session cookie is kept; the application decides what it is worth."""
        return any(self.sigra.settings.cookie_name(name) in self.cookies for name in self.sigra.cookies)

    def path(self, path: str) -> str:
        """A path below the mount path: `/login` as `/auth/login`."""
        return f"{self.sigra.settings.mount_path}{path}"

    async def sign_in(self, user: User, password: str = PASSWORD, **fields: Any) -> httpx2.Response:
        """Sign in by the password route, and keep the cookie.

        Args:
            fields: More of the body: `remember`, `next`.
        """
        return await self.post(self.path("/login"), json={"email": user.email, "password": password, **fields})

    async def sign_in_as(self, user: User, *amr: str, **login: Any) -> httpx2.Response:
        """Sign in without a proof, as a plugin does that has seen one: through the seam, under every policy.

        Args:
            amr: What was proven (RFC 8176); `pwd` when omitted.
            login: More of the `Login`: `methods`, `carrier`, `remember`, …
        """

        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            response = await self.sigra.sign_in(request, Login(user, amr or ("pwd",), **login))
            await response(scope, receive, send)

        async with Client(
            self.sigra.wrap(endpoint), self.sigra, address=self.address, cookies=self.cookies.jar
        ) as proven:
            return await proven.post("/")

    async def sign_out(self) -> httpx2.Response:
        """End the session."""
        return await self.post(self.path("/logout"))

    def as_browser(self, *, site: str = "same-origin", origin: str | None = None) -> Client:
        """The same cookies, in a browser that says where its requests come from (Fetch Metadata, section 2.4).

        Args:
            site: `same-origin`, `same-site`, `cross-site` or `none`.
            origin: Of the page that makes them; our own when omitted.
        """
        headers = {"sec-fetch-site": site, "origin": origin or self.sigra.settings.base_url}
        return Client(
            self.app,
            self.sigra,
            address=self.address,
            headers={**self.headers, **headers},
            cookies=self.cookies.jar,
            raises=self.raises,
        )

    def websocket(  # type: ignore[override]  # the parent's needs a server and a network
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        denial: bool = True,
    ) -> AbstractAsyncContextManager[WebSocket]:
        """`async with client.websocket("/ws") as ws`: a WebSocket with this client's cookies and headers.

        Args:
            denial: Whether the server can answer a refusal with a response.

        Raises:
            WebSocketRefused: It was not accepted.
        """
        request = self.build_request("GET", url, headers=dict(headers or {}))
        return connected(self.app, request, self.address, subprotocols=subprotocols, denial=denial)

"""Pages for people, without a script: what they show is what the plugins have to show on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sigra.answers import HTML
from sigra.errors import (
    AssuranceRequired,
    InvalidCredentials,
    LoginExpired,
    ReauthenticationRequired,
    Refused,
    SigraError,
    Unauthenticated,
)
from sigra.hookspecs import hookimpl, render_page
from sigra.http.routing import Route
from sigra.models import Identity
from sigra.protocols import Auth
from sigra.settings import covers

LOGIN, CHALLENGE, ACCOUNT, REAUTHENTICATE = "login", "login/challenge", "account", "reauthenticate"

TEMPLATES: Mapping[str, str] = MappingProxyType(
    {LOGIN: "pages/login.html", CHALLENGE: "pages/challenge.html", ACCOUNT: "pages/account.html"}
)

_ENDED_BY_PROVING_IT_AGAIN = (ReauthenticationRequired, AssuranceRequired)
"""Left to whoever knows the way to such a proof."""

OwnPath = Annotated[str, Field(pattern=r"^/[^/\\\s][^\\\s]*$")]
"""A path of this origin: the pages' policy lets browsers load nothing else."""


class Pages:
    """Serves the pages; a plugin before it may render any of them itself."""

    name = "pages"
    api = 1

    class Settings(BaseModel):
        """How the pages look.

        Args:
            title: What the application is called, at the top of every page.
            logo: The path of an image beside it.
            stylesheet: The path of a style sheet of the application's own, which comes after ours.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        title: str = ""
        logo: OwnPath | None = None
        stylesheet: OwnPath | None = None

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route(f"/{LOGIN}", partial(self.show_login, auth), methods=["GET"], answers={200: HTML}),
            Route(f"/{CHALLENGE}", partial(self.show_challenge, auth), methods=["GET"], answers={200: HTML}),
            Route("/style.css", partial(self.style, auth), methods=["GET"], name="style", answers={200: "text/css"}),
        ]

    async def show_login(self, auth: Auth, request: Request) -> Response:
        """GET /login: every way in that the plugins offer."""
        return await self._page(auth, request, LOGIN)

    async def show_challenge(self, auth: Auth, request: Request) -> Response:
        """GET /login/challenge: what a sign-in that waits still needs."""
        await auth.pending(request)
        return await self._page(auth, request, CHALLENGE)

    async def style(self, auth: Auth, request: Request) -> Response:
        """GET /style.css: how the pages look."""
        sheet = await auth.render(request, "pages/style.css", {})
        return Response(sheet.body, media_type="text/css")

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page not in TEMPLATES:
            return None
        given = {"posted": page, **context}
        if page == ACCOUNT and request.scope["sigra.user"] is None:
            page = LOGIN
        if page == LOGIN:
            # Where another form wanted to go is no place to go to after signing in, unless it says so: what it wanted
            # was not done.
            own = str(given["posted"]).split("/")[0] == LOGIN
            given["next"] = request.query_params.get("next") if own else context.get("next")
        if page == CHALLENGE:
            try:
                given["login"] = await auth.pending(request)
            except LoginExpired as expired:
                error = given.get("error")
                if type(error) is InvalidCredentials:
                    return await self._around_beginning(auth, request, given, status)
                return await self._error_page(auth, request, error if isinstance(error, Refused) else expired)
        return await auth.render(request, TEMPLATES[page], given, status, page=page)

    @hookimpl(trylast=True)
    async def render_error(self, auth: Auth, request: HTTPConnection, error: SigraError) -> Response | None:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if not covers(auth.settings.mount_path, path) or isinstance(error, _ENDED_BY_PROVING_IT_AGAIN):
            return None
        asked, posted = Request(request.scope), path.removeprefix(f"{auth.settings.mount_path}/")
        if "form" in request.headers.get("content-type", ""):
            return await self._around_form(auth, asked, posted, error)
        is_navigation = asked.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")
        if not is_navigation or isinstance(error, Unauthenticated):
            return None
        return await self._error_page(auth, asked, error)

    async def _around_form(self, auth: Auth, request: Request, posted: str, error: SigraError) -> Response | None:
        """The page on which a form without a page of its own stands: where its person is."""
        identity: Identity | None = request.scope["sigra.identity"]
        if identity is not None and identity.session_id is None:
            return None  # a program, which wants no page
        page = ACCOUNT if identity else LOGIN
        if posted.startswith(f"{LOGIN}/"):
            page = CHALLENGE
        context = {"error": error, "posted": posted}
        return await auth.first(render_page, request=request, page=page, context=context, status=error.status)

    async def _around_beginning(
        self, auth: Auth, request: Request, context: Mapping[str, object], status: int
    ) -> Response | None:
        """A proof that was refused and of which no sign-in waited: it was to begin one, or to be given again."""
        page = REAUTHENTICATE if request.scope["sigra.user"] else LOGIN
        return await auth.first(render_page, request=request, page=page, context=context, status=status)

    async def _page(self, auth: Auth, request: Request, page: str) -> Response:
        response = await auth.first(render_page, request=request, page=page, context={"error": None}, status=200)
        assert response is not None
        return response

    async def _error_page(self, auth: Auth, request: Request, error: SigraError) -> Response:
        response = await auth.render(request, "pages/error.html", {"error": error}, error.status)
        response.headers.update(error.headers)
        return response

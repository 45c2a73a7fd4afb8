"""Pages for people: sign in and sign out, without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from sigra.hookspecs import hookimpl, render_page
from sigra.http.routing import Route
from sigra.protocols import Auth

_PAGES = {"login": "pages/login.html", "login/challenge": "pages/challenge.html"}
_STYLE = Path(__file__).parent.parent / "templates" / "pages" / "style.css"


class Pages:
    """Serves the pages; a plugin before it may render any of them itself."""

    name = "pages"
    api = 1

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        pages = [Route(f"/{page}", partial(self.show, auth, page), methods=["GET"]) for page in _PAGES]
        return [*pages, Route("/style.css", self.style, methods=["GET"], name="style")]

    async def show(self, auth: Auth, page: str, request: Request) -> Response:
        """GET of a page."""
        response = await auth.first(render_page, request=request, page=page, context={"error": None}, status=200)
        assert response is not None
        return response

    async def style(self, request: Request) -> Response:
        """GET /style.css."""
        return FileResponse(_STYLE, media_type="text/css")

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        template = _PAGES.get(page)
        return None if template is None else await auth.render(request, template, context, status)

"""The demo's application, as a reader would write one: a page, a JSON route and a WebSocket behind Sigra."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sqlalchemy import URL
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from sigra import sources
from sigra.core import Sigra
from sigra.guards import current_user, requires
from sigra.hooks import installed
from sigra.hookspecs import hookimpl
from sigra.settings import Settings

SCOPE = "reports:read"

SHOWN = ("lockout", "audit", "totp", "passkeys")
"""Plugins that are installed on their own, and worth a look where they are."""

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}

SCRIPT = """\
const greeting = document.getElementById("greeting");
const socket = new WebSocket(new URL("/ws", location.href.replace(/^http/, "ws")));
socket.onmessage = (event) => { greeting.textContent = event.data; };
"""


class Demo:
    """Lets everybody who is signed in read reports; an API key needs the scope for it."""

    name = "demo"
    api = 1

    @hookimpl
    def register_templates(self) -> Sequence[Path]:
        return [Path(__file__).parent / "templates"]

    @hookimpl
    async def send_message(self) -> bool:
        """Mails are in the mailbox; the terminal stays as it is."""
        return True

    @hookimpl
    async def scopes_for_identity(self) -> Collection[str]:
        return (SCOPE,)


def build(base_url: str, secret_key: str, database: Path, environ: Mapping[str, str]) -> Sigra:
    """The demo's `Sigra`; of the environment it reads `SIGRA_LIMITS__…`, for who tries more than people do."""
    settings = Settings(
        secret_keys=[secret_key],
        base_url=base_url,
        database_url=URL.create("sqlite", database=str(database)).render_as_string(),
        development=True,
        home="/",
        limits=sources.read(environ, Path()).get("limits", {}),
    )
    present = {one.name for one in installed()}
    return Sigra(settings, ["defaults", *(name for name in SHOWN if name in present), Demo()])


def application(auth: Sigra) -> ASGIApp:
    """The application behind `auth`."""
    routes = [
        Route("/", home),
        Route("/greeting.js", script),
        Route("/api/report", report),
        Route("/api/secret", secret),
        WebSocketRoute("/ws", greet),
    ]
    return auth.wrap(Starlette(routes=routes))


async def home(request: Request) -> Response:
    """GET /: who you are."""
    auth: Sigra = request.scope["sigra.auth"]
    page = await auth.render(request, "demo/home.html", {"error": None})
    page.headers.update(HEADERS)
    return page


async def script(request: Request) -> Response:
    """GET /greeting.js."""
    return Response(SCRIPT, media_type="text/javascript")


async def report(request: Request) -> Response:
    """GET /api/report: for whoever may read reports."""
    user = await requires(scopes=[SCOPE])(request)
    method = request.scope["sigra.identity"].method
    body = {"report": "All is well.", "for": user.email, "by": method}
    return JSONResponse(body, headers={"cache-control": "no-store"})


async def secret(request: Request) -> Response:
    """GET /api/secret: for whoever has proven two factors."""
    user = await requires(assurance="aal2")(request)
    return JSONResponse({"secret": "42", "for": user.email}, headers={"cache-control": "no-store"})


async def greet(socket: WebSocket) -> None:
    """WebSocket /ws: greets the user by name, and again after every message."""
    user = await current_user(socket)
    await socket.accept()
    await socket.send_text(f"Hello, {user.name}!")
    async for _ in socket.iter_text():
        await socket.send_text(f"Hello again, {user.name}!")

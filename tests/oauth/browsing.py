"""An application under uvicorn, and browsers that walk between it and a provider, link by link and form by form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import httpx2
import uvicorn

from sigra import Sigra
from sigra.testing import cheap_settings, create_tables
from tests.apps import application
from tests.oauth.serving import listening


class Form(HTMLParser):
    """The first form of a page: its address, and its hidden fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = told["action"]
        elif tag == "input" and told.get("type") == "hidden":
            self.fields[told["name"]] = told.get("value", "")


class Browser(httpx2.AsyncClient):
    """One with cookies of its own; it follows redirects, and says at the application where it stands."""

    def __init__(self, origin: str) -> None:
        super().__init__(base_url=origin, follow_redirects=True, trust_env=False, timeout=20)
        self.event_hooks = {"request": [as_a_browser]}

    async def start(self, name: str = "oidc", **body: Any) -> str:
        """Where the application sends it."""
        begun = await self.post(f"/auth/oauth/{name}/start", json=body)
        assert begun.status_code == 200, begun.text
        return str(begun.json()["authorization_url"])

    async def submit(self, page: httpx2.Response, **fields: str) -> httpx2.Response:
        """Post the page's form with what was typed."""
        form = Form(page.text)
        assert form.action, page.text
        return await self.post(page.url.join(form.action), data={**form.fields, **fields})

    async def sign_in_there(self, url: str, login: str = "ada") -> httpx2.Response:
        """Type the login, allow everything, and come back; what is asked already is not asked again."""
        page = await self.get(url)
        if 'name="login"' in page.text:
            page = await self.submit(page, login=login, password="anything")
        if 'value="consent"' in page.text:
            page = await self.submit(page)
        return page

    async def dance(self, login: str = "ada", **body: Any) -> httpx2.Response:
        return await self.sign_in_there(await self.start(**body), login)

    async def session(self) -> dict[str, Any] | None:
        """The present one; None without."""
        response = await self.get("/auth/session")
        return response.json()["session"] if response.status_code == 200 else None


async def as_a_browser(request: httpx2.Request) -> None:
    """A link that is followed has no type of a form's, from which it came by redirects."""
    if request.method == "GET":
        request.headers.pop("content-type", None)


@asynccontextmanager
async def installed(
    database: str, configured: Callable[[str], dict[str, Any]], **options: Any
) -> AsyncIterator[tuple[Sigra, str]]:
    """The application, with its tables made, and its origin; by the clock on the wall.

    Args:
        configured: The section `oauth` for that origin.
    """
    at = listening()
    origin = f"http://localhost:{at.getsockname()[1]}"
    settings = cheap_settings(database, base_url=origin, oauth=configured(origin), **options)
    async with Sigra(settings, ["defaults", "oauth"]) as auth:
        await create_tables(auth)
        app = auth.wrap(application)
        config = uvicorn.Config(app, log_level="critical", lifespan="off", proxy_headers=False, ws="none")
        server = uvicorn.Server(config)
        # The test's process handles its signals itself.
        serving = asyncio.create_task(server._serve(sockets=[at]))
        try:
            yield auth, origin
        finally:
            server.should_exit = True
            await serving
            at.close()

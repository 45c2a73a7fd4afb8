"""Starlette's own way to ask who is there, when it is switched on."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.authentication import BaseUser, requires
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from sigra import Identity, hookimpl
from sigra import Route as PluginRoute
from sigra.testing import FrozenClock, WebSocketClosed, WebSocketRefused, make_api_key, make_user
from tests.apps import running

MEMORY = "sqlite:///:memory:"


async def who(request: Request) -> Response:
    user: BaseUser = request.user
    return JSONResponse(
        {
            "signed_in": user.is_authenticated,
            "name": user.display_name,
            "id": user.identity if user.is_authenticated else None,
            "scopes": request.auth.scopes,
        }
    )


@requires("authenticated")
async def private(request: Request) -> Response:
    return PlainTextResponse(request.user.user.email)


@requires(["authenticated", "reports:read"])
def reports(request: Request) -> Response:
    return PlainTextResponse("all is well")


@requires("authenticated", redirect="entrance")
async def page(request: Request) -> Response:
    return PlainTextResponse("a page")


@requires("authenticated")
async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        await websocket.send_text(websocket.user.display_name)


application = Starlette(
    routes=[
        Route("/", who),
        Route("/private", private),
        Route("/reports", reports),
        Route("/page", page),
        Route("/entrance", who, name="entrance"),
        WebSocketRoute("/ws", greet),
    ]
)


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(sorted({"user", "auth"} & scope.keys()))(scope, receive, send)


def starlette_client(plugins: list[Any] | None = None, **options: Any) -> Any:
    return running(MEMORY, plugins, app=application, starlette_user=True, **options)


async def test_whoever_is_signed_in_is_the_user_of_the_request() -> None:
    async with starlette_client() as client:
        user = await make_user(client.sigra, name="Ada")
        await client.sign_in(user)
        answer = await client.get("/")

    assert answer.json() == {"signed_in": True, "name": "Ada", "id": str(user.id), "scopes": ["authenticated"]}


async def test_nobody_is_a_user_without_scopes() -> None:
    async with starlette_client() as client:
        answer = await client.get("/")

    assert answer.json() == {"signed_in": False, "name": "", "id": None, "scopes": []}


async def test_a_user_without_a_name_is_shown_by_address() -> None:
    async with starlette_client() as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await client.get("/")

    assert answer.json()["name"] == "ada@example.com"


async def test_starlettes_guard_holds() -> None:
    async with starlette_client() as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user, "reports:read")
        anonymous = await client.get("/private")
        sent = await client.get("/page")
        by_key = await client.get("/reports", headers={"authorization": f"Bearer {key}"})
        await client.sign_in(user)
        known = await client.get("/private")
        too_little = await client.get("/reports")

    assert anonymous.status_code == 403
    assert (sent.status_code, sent.headers["location"].partition("?")[0]) == (303, "http://localhost/entrance")
    assert by_key.text == "all is well"
    assert known.text == "ada@example.com"
    assert too_little.status_code == 403


async def test_the_scopes_of_the_session_are_there_too() -> None:
    class Readers:
        name, api = "readers", 1

        @hookimpl
        async def scopes_for_identity(self, identity: Identity) -> list[str]:
            return ["reports:read"]

    async with starlette_client(["defaults", Readers()]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await client.get("/")

    assert answer.json()["scopes"] == ["authenticated", "reports:read"]


async def test_a_socket_has_its_user() -> None:
    async with starlette_client() as client:
        with pytest.raises(WebSocketRefused):
            async with client.websocket("/ws"):
                pass
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            await socket.send_text("who am I?")

            assert await socket.receive_text() == "ada@example.com"


async def test_an_open_socket_learns_what_has_changed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": f"{scope['user'].display_name} {scope['auth'].scopes}"})

    class Scopes:
        name, api = "scopes", 1
        now = "before"

        @hookimpl
        async def scopes_for_identity(self) -> list[str]:
            return [self.now]

    clock, scopes = FrozenClock(), Scopes()
    async with running(MEMORY, ["defaults", scopes], app=app, clock=clock, starlette_user=True) as client:
        user = await make_user(client.sigra, name="Ada")
        await client.sign_in(user)
        async with client.as_browser().websocket("/ws") as socket:
            assert await socket.receive_text() == "Ada ['authenticated', 'before']"
            users = client.sigra.metadata.tables["sigra_users"]
            await client.sigra.db.transaction(lambda tx: tx.execute(update(users).values(name="Countess")))
            scopes.now = "after"
            clock.tick(timedelta(seconds=31))
            await socket.send_text("and now?")

            assert await socket.receive_text() == "Countess ['authenticated', 'after']"


async def test_hc8_an_open_socket_whose_session_is_gone_is_closed_here_too() -> None:
    clock = FrozenClock()
    async with starlette_client(clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            await client.sign_out()
            clock.tick(timedelta(seconds=31))
            await socket.send_text("still there?")
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive_text()

    assert closed.value.code == 4401


async def test_a_path_that_passes_through_has_nobody() -> None:
    async with starlette_client(skip_paths=["/entrance"]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await client.get("/entrance")

    assert answer.json()["signed_in"] is False


async def test_the_scope_has_neither_unless_it_is_switched_on() -> None:
    async with running(MEMORY, app=nothing) as client:
        off = await client.get("/")
    async with running(MEMORY, app=nothing, starlette_user=True) as client:
        on = await client.get("/")

    assert (off.json(), on.json()) == ([], ["auth", "user"])


async def test_hc35_a_route_open_to_foreign_posts_has_no_user_of_a_cookie() -> None:
    class Hook:
        name, api = "hook", 1

        @hookimpl
        def register_routes(self) -> list[PluginRoute]:
            return [PluginRoute("/hook", who, methods=["POST"], cross_origin=True)]

    async with starlette_client(["defaults", Hook()]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await client.as_browser(site="cross-site", origin="https://evil.test").post("/auth/hook")

    assert answer.json() == {"signed_in": False, "name": "", "id": None, "scopes": []}

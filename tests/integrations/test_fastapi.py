"""FastAPI: dependencies that hold for requests and sockets, are overridden by value, and show the padlock."""

import uuid
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.requests import HTTPConnection

import sigra
from sigra import User
from sigra.integrations.fastapi import CurrentUser, OptionalUser, current_user, optional_user, requires
from sigra.testing import FrozenClock, WebSocketClosed, WebSocketRefused, make_api_key, make_user
from tests.apps import running

MEMORY = "sqlite:///:memory:"
EITHER = [{"SigraSession": []}, {"SigraBearer": []}]
STAND_IN = User(uuid.UUID(int=7), "stand-in@example.com")

Reader = Annotated[User, Depends(requires(scopes=["reports:read"]))]


router = APIRouter()


@router.get("/me")
async def me(user: CurrentUser) -> dict[str, Any]:
    return user.public()


@router.get("/greeting")
async def greeting(user: OptionalUser) -> str:
    return f"Hello, {user.email if user else 'stranger'}!"


@router.get("/reports")
def reports(user: Reader) -> str:
    return f"for {user.email}"


@router.get("/closed", dependencies=[Depends(requires(scopes=["reports:read"]))])
async def closed() -> str:
    return "open"


@router.get("/fresh", dependencies=[Depends(requires(fresh=True))])
async def fresh() -> str:
    return "fresh"


@router.get("/plain")
async def plain(user: Annotated[User, Depends(sigra.current_user)]) -> str:
    return str(user.email)


@router.get("/plain-reports", dependencies=[Depends(sigra.requires(scopes=["reports:read"]))])
async def plain_reports() -> str:
    return "open"


@router.websocket("/ws")
async def echo(socket: WebSocket, user: CurrentUser, guest: OptionalUser) -> None:
    assert guest == user
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"{user.email}: {text}")


@router.websocket("/ws/reports")
async def feed(socket: WebSocket, user: Reader) -> None:
    await socket.accept()
    await socket.send_text(f"for {user.email}")


def application() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


def fastapi_client(app: Any = None, **options: Any) -> Any:
    return running(MEMORY, app=app or application(), **options)


async def test_the_current_user_is_whoever_is_signed_in() -> None:
    async with fastapi_client() as client:
        user = await make_user(client.sigra)
        anonymous = await client.get("/me")
        key = await make_api_key(client.sigra, user)
        by_key = await client.get("/me", headers={"authorization": f"Bearer {key}"})
        await client.sign_in(user)
        by_cookie = await client.get("/me")

    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "unauthenticated")
    assert anonymous.headers["www-authenticate"] == 'Bearer realm="sigra"'
    assert by_key.json() == by_cookie.json() == user.public()


async def test_an_optional_user_may_be_nobody() -> None:
    async with fastapi_client() as client:
        user = await make_user(client.sigra)
        anonymous = await client.get("/greeting")
        await client.sign_in(user)
        known = await client.get("/greeting")

    assert (anonymous.json(), known.json()) == ("Hello, stranger!", "Hello, ada@example.com!")


@pytest.mark.parametrize("path", ["/reports", "/closed", "/plain-reports"])
async def test_hc25_a_scope_is_demanded(path: str) -> None:
    async with fastapi_client() as client:
        user = await make_user(client.sigra)
        other = await make_api_key(client.sigra, user, "reports:write")
        right = await make_api_key(client.sigra, user, "reports:read")
        anonymous = await client.get(path)
        refused = await client.get(path, headers={"authorization": f"Bearer {other}"})
        passed = await client.get(path, headers={"authorization": f"Bearer {right}"})

    assert [answer.status_code for answer in (anonymous, refused, passed)] == [401, 403, 200]
    assert refused.json()["code"] == "insufficient_scope"


async def test_a_fresh_sign_in_is_demanded() -> None:
    clock = FrozenClock()
    async with fastapi_client(clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        soon = await client.get("/fresh")
        clock.tick(timedelta(minutes=6))
        late = await client.get("/fresh")

    assert soon.json() == "fresh"
    assert (late.status_code, late.json()["code"]) == (403, "reauthentication_required")


async def test_a_person_is_sent_to_sign_in() -> None:
    async with fastapi_client() as client:
        refused = await client.get("/me?full=1", headers={"accept": "text/html"})

    assert (refused.status_code, refused.headers["location"]) == (303, "/auth/login?next=%2Fme%3Ffull%3D1")


async def test_a_socket_is_guarded_before_it_is_accepted() -> None:
    async with fastapi_client() as client:
        user = await make_user(client.sigra)
        with pytest.raises(WebSocketRefused) as anonymous:
            async with client.websocket("/ws"):
                pass
        await client.sign_in(user)
        with pytest.raises(WebSocketRefused) as too_little:
            async with client.as_browser().websocket("/ws/reports"):
                pass
        async with client.as_browser().websocket("/ws") as socket:
            await socket.send_text("hello")
            said = await socket.receive_text()

    assert (anonymous.value.response.status_code, too_little.value.response.status_code) == (401, 403)
    assert said == "ada@example.com: hello"


async def test_a_key_opens_a_socket_by_its_scope() -> None:
    async with fastapi_client() as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra), "reports:read")
        async with client.websocket("/ws/reports", headers={"authorization": f"Bearer {key}"}) as socket:
            assert await socket.receive_text() == "for ada@example.com"


async def test_hc8_an_open_socket_is_closed_once_its_session_is_gone() -> None:
    clock = FrozenClock()
    async with fastapi_client(clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            await client.sign_out()
            clock.tick(timedelta(seconds=31))
            await socket.send_text("still there?")
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive_text()

    assert closed.value.code == 4401


# Overrides


def stand_in() -> User:
    return STAND_IN


@pytest.mark.parametrize("key", [current_user, sigra.current_user])
async def test_the_current_user_is_overridden(key: Any) -> None:
    app = application()
    app.dependency_overrides[key] = stand_in
    async with fastapi_client(app) as client:
        answer = await client.get("/me")

    assert answer.json()["email"] == "stand-in@example.com"


async def test_an_optional_user_is_overridden() -> None:
    app = application()
    app.dependency_overrides[optional_user] = stand_in
    async with fastapi_client(app) as client:
        answer = await client.get("/greeting")

    assert answer.json() == "Hello, stand-in@example.com!"


async def test_a_requirement_of_equal_terms_is_one_key() -> None:
    app = application()
    app.dependency_overrides[requires(scopes=("reports:read",))] = stand_in
    async with fastapi_client(app) as client:
        overridden = await client.get("/reports")
        closed = await client.get("/closed")
        async with client.websocket("/ws/reports") as socket:
            said = await socket.receive_text()

    assert overridden.json() == said == "for stand-in@example.com"
    assert closed.json() == "open"


async def test_a_requirement_of_other_terms_is_another_key() -> None:
    app = application()
    app.dependency_overrides[requires(scopes=["reports:read"], fresh=True)] = stand_in
    app.dependency_overrides[requires()] = stand_in
    async with fastapi_client(app) as client:
        answer = await client.get("/reports")

    assert answer.status_code == 401


def test_a_requirement_is_none_of_the_core_whose_signature_differs() -> None:
    assert requires(scopes=["a"]) == requires(scopes=["a"])
    assert hash(requires(scopes=["a"])) == hash(requires(scopes={"a"}))
    assert requires(scopes=["a"]) != sigra.requires(scopes=["a"])


def test_one_word_is_no_collection_of_scopes() -> None:
    with pytest.raises(TypeError, match="scopes is a collection"):
        requires(scopes="reports:read")


# The document


@pytest.mark.parametrize("path", ["/me", "/reports", "/closed", "/fresh"])
def test_what_is_guarded_shows_the_padlock(path: str) -> None:
    assert application().openapi()["paths"][path]["get"]["security"] == EITHER


@pytest.mark.parametrize("path", ["/greeting", "/plain"])
def test_what_demands_nothing_or_is_guarded_by_the_core_alone_shows_none(path: str) -> None:
    assert "security" not in application().openapi()["paths"][path]["get"]


def test_a_guard_adds_no_parameter_to_the_document() -> None:
    for path in application().openapi()["paths"].values():
        assert "parameters" not in path["get"] and "requestBody" not in path["get"]


def test_a_guard_of_a_router_shows_the_padlock_on_its_routes() -> None:
    strong = APIRouter(dependencies=[Depends(requires(assurance="aal2"))])

    @strong.get("/vault")
    async def vault() -> str:
        return "gold"

    app = FastAPI()
    app.include_router(strong)

    assert app.openapi()["paths"]["/vault"]["get"]["security"] == EITHER


def test_the_document_tells_cookie_and_bearer() -> None:
    schemes = application().openapi()["components"]["securitySchemes"]

    assert {name: (scheme["type"], scheme.get("in"), scheme.get("scheme")) for name, scheme in schemes.items()} == {
        "SigraSession": ("apiKey", "cookie", None),
        "SigraBearer": ("http", None, "bearer"),
    }
    assert schemes["SigraSession"]["name"] == "__Host-sigra"


# Outside of FastAPI and of Sigra


async def test_a_requirement_is_awaited_as_the_cores_is() -> None:
    seen: list[User] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await requires()(HTTPConnection(scope)))

    async with running(MEMORY, app=app) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        with pytest.raises(AssertionError):  # no answer was sent
            await client.get("/")

    assert [one.id for one in seen] == [user.id]


@pytest.mark.parametrize("path", ["/me", "/reports", "/greeting"])
async def test_hc49_a_request_that_did_not_come_through_sigra_is_told_so(path: str) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        """Nobody listens."""

    with pytest.raises(RuntimeError, match=r"auth\.wrap\(app\)"):
        await application()(scope, receive, send)

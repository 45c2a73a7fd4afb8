"""What `sigra.testing` gives to the tests of others: the client, the WebSocket, the clock, the fixtures."""

import inspect
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.dialects import sqlite
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

import sigra.testing
from sigra import Identity, Sigra
from sigra.testing import (
    Client,
    FrozenClock,
    WebSocketClosed,
    WebSocketRefused,
    cheap_settings,
    fixtures,
    make_api_key,
    make_user,
)
from sigra.testing.making import making
from sigra.testing.websocket import connected


def test_every_public_name_is_there():
    assert {name for names in sigra.testing._ROOMS.values() for name in names} == set(sigra.testing.__all__)
    assert all(hasattr(sigra.testing, name) for name in sigra.testing.__all__)
    assert not hasattr(sigra.testing, "a_name_that_is_not_there")


def test_a_frozen_clock_moves_only_when_told():
    clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))

    assert clock() == clock()
    assert clock.tick(timedelta(minutes=1)) == clock() == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def test_a_clock_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        FrozenClock(datetime(2026, 1, 1))  # noqa: DTZ001


def test_tables_that_are_declared_alike_are_compiled_once():
    dialect = sqlite.dialect()
    tables = [Sigra(cheap_settings()).metadata.sorted_tables for _ in range(5)]

    for alike in zip(*tables, strict=True):
        assert len({id(making(dialect, table)) for table in alike}) == 1, alike[0].name


async def test_a_client_starts_as_nobody(sigra_client):
    assert (await sigra_client.get("/")).json() == {"user": None, "method": None}
    assert not sigra_client.signed_in


async def test_a_signed_in_client_is_the_user(sigra_signed_in, sigra_user):
    assert (await sigra_signed_in.get("/")).json() == {"user": sigra_user.public(), "method": "session"}
    assert sigra_signed_in.signed_in


async def test_sign_in_uses_the_real_route(sigra_client, sigra_user):
    wrong = await sigra_client.sign_in(sigra_user, "a wrong password")
    right = await sigra_client.sign_in(sigra_user)

    assert (wrong.status_code, right.status_code) == (401, 200)


async def test_sign_out_forgets_the_cookie(sigra_signed_in):
    assert (await sigra_signed_in.sign_out()).status_code == 204
    assert not sigra_signed_in.signed_in
    assert (await sigra_signed_in.get("/")).json()["user"] is None


async def test_sign_in_as_goes_through_the_seam(sigra_client, sigra_auth):
    user = await make_user(sigra_auth, "grace@example.com", None)
    response = await sigra_client.sign_in_as(user, "hwk", "pin", methods=("passkey",))

    assert response.json()["status"] == "signed_in"
    session = (await sigra_client.get(sigra_client.path("/session"))).json()
    assert session["user"]["email"] == "grace@example.com"
    assert session["identity"]["amr"] == ["hwk", "pin"] and session["identity"]["assurance"] == "aal2"


async def test_cookies_are_kept_over_https_too(sigra_database_url, sigra_clock):
    auth = await started(cheap_settings(sigra_database_url, https=True), sigra_clock)
    async with auth, Client(auth.wrap(who_asks), auth) as client:
        response = await client.sign_in(await make_user(auth))

        assert response.headers["set-cookie"].startswith("__Host-sigra=") and "Secure" in response.headers["set-cookie"]
        assert (await client.get("/")).json() == "session"


async def test_a_browser_of_our_own_shares_the_cookies(sigra_signed_in):
    browser = sigra_signed_in.as_browser()

    assert (await browser.sign_out()).status_code == 204
    assert not sigra_signed_in.signed_in


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_hc35_a_foreign_page_cannot_sign_anybody_out(sigra_signed_in, site):
    foreign = sigra_signed_in.as_browser(site=site, origin="https://evil.example")

    assert (await foreign.sign_out()).json()["code"] == "cross_origin"
    assert (await sigra_signed_in.get("/")).json()["method"] == "session"


async def test_an_api_key_identifies_a_program(sigra_auth, sigra_client, sigra_user):
    key = await make_api_key(sigra_auth, sigra_user, "reports:read")
    response = await sigra_client.get("/", headers={"authorization": f"Bearer {key}"})

    assert response.json() == {"user": sigra_user.public(), "method": "api_key"}


async def test_a_client_has_the_address_that_it_is_given(sigra_auth, sigra_app, sigra_user):
    async with Client(sigra_app, sigra_auth, address=("198.51.100.9", 5)) as client:
        response = await client.sign_in(sigra_user)

    assert response.json()["session"]["ip"] == "198.51.100.9"


async def test_an_error_of_the_application_is_raised_unless_told_otherwise(sigra_auth):
    async def broken(scope, receive, send):
        raise LookupError("a bug of the application's")

    async with Client(sigra_auth.wrap(broken), sigra_auth) as client:
        with pytest.raises(LookupError):
            await client.get("/")
    async with Client(sigra_auth.wrap(broken), sigra_auth, raises=False) as client:
        assert (await client.get("/")).status_code == 500


async def test_a_websocket_knows_the_user(sigra_signed_in, sigra_user):
    async with sigra_signed_in.as_browser().websocket("/ws") as ws:
        await ws.send_text("who am I?")

        assert await ws.receive_json() == {"user": sigra_user.public(), "method": "session"}


@pytest.mark.parametrize("denial", [True, False])
async def test_hc35_a_foreign_page_opens_no_websocket(sigra_signed_in, denial):
    foreign = sigra_signed_in.as_browser(site="cross-site", origin="https://evil.example")

    with pytest.raises(WebSocketRefused) as refused:
        async with foreign.websocket("/ws", denial=denial):
            pass
    assert refused.value.response.status_code == 403
    assert refused.value.code == (None if denial else 1008)


async def test_hc8_an_open_websocket_ends_with_the_session(sigra_signed_in, sigra_clock):
    async with sigra_signed_in.as_browser().websocket("/ws") as ws:
        await ws.send_text("before")
        await ws.receive_json()
        await sigra_signed_in.sign_out()
        sigra_clock.tick(timedelta(seconds=31))
        await ws.send_text("after")

        with pytest.raises(WebSocketClosed) as closed:
            await ws.receive_text()
        assert closed.value.code == 4401


async def test_a_websocket_speaks_text_bytes_and_subprotocols(sigra_auth):
    async def echo(scope, receive, send):
        websocket = WebSocket(scope, receive, send)
        await websocket.accept(subprotocol="chat", headers=[(b"x-answer", b"42")])
        await websocket.send_text(await websocket.receive_text())
        await websocket.send_bytes(await websocket.receive_bytes())
        await websocket.close(4000, "enough")

    async with Client(echo, sigra_auth) as client, client.websocket("/ws", subprotocols=["chat"]) as ws:
        assert (ws.subprotocol, ws.headers["x-answer"]) == ("chat", "42")
        await ws.send_json({"a": 1})
        assert await ws.receive_json() == {"a": 1}
        await ws.send_bytes(b"\0")
        assert await ws.receive_bytes() == b"\0"
        with pytest.raises(WebSocketClosed, match="4000 enough"):
            await ws.receive_text()


async def test_a_websocket_whose_application_returns_is_closed_abnormally(sigra_auth):
    async def brief(scope, receive, send):
        await WebSocket(scope, receive, send).accept()

    async with Client(brief, sigra_auth) as client, client.websocket("/ws") as ws:
        for _ in range(2):
            with pytest.raises(WebSocketClosed, match="1006"):
                await ws.receive_text()


async def test_a_websocket_raises_what_its_application_raises(sigra_auth):
    async def broken(scope, receive, send):
        await WebSocket(scope, receive, send).accept()
        raise LookupError("a bug of the application's")

    async with Client(broken, sigra_auth) as client:
        with pytest.raises(LookupError):
            async with client.websocket("/ws") as ws:
                await ws.receive_text()


async def test_a_websocket_cuts_off_an_application_that_does_not_end(sigra_auth):
    async def deaf(scope, receive, send):
        await WebSocket(scope, receive, send).accept()
        while True:
            await receive()

    async with Client(deaf, sigra_auth) as client:
        request = client.build_request("GET", "/ws")
        with pytest.raises(TimeoutError):
            async with connected(deaf, request, client.address, patience=0.01):
                pass


def test_every_fixture_is_documented():
    found = {name: value for name, value in vars(fixtures).items() if name.startswith("sigra_")}

    assert len(found) == 11
    assert all(inspect.getdoc(value) for value in found.values())


OVERRIDING = """
import pytest
from sigra import Route, hookimpl
from starlette.responses import PlainTextResponse

class Hello:
    name = "hello"
    api = 1

    @hookimpl
    def register_routes(self):
        return [Route("/hello", self.hello, methods=["GET"])]

    async def hello(self, request):
        return PlainTextResponse("hello")

@pytest.fixture
def sigra_database_url():
    return "sqlite:///:memory:"

@pytest.fixture
def sigra_plugins():
    return ["defaults", Hello()]

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_the_plugin_is_there(sigra_signed_in):
    assert (await sigra_signed_in.get("/auth/hello")).text == "hello"
    assert (await sigra_signed_in.get("/")).json()["user"]["email"] == "ada@example.com"
"""


def test_the_fixtures_serve_a_project_that_knows_nothing_of_ours(tmp_path):
    (tmp_path / "test_hello.py").write_text(OVERRIDING)
    done = run_pytest(tmp_path)

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_pytest_runs_without_the_extra_in_a_project_that_uses_no_fixture(tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['httpx2'] = None\n")

    assert run_pytest(tmp_path).returncode == 0


def run_pytest(folder):
    """Run pytest in a process of its own, on a project of its own."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


async def started(settings, clock):
    """A `Sigra` with its tables."""
    auth = sigra.Sigra(settings, clock=clock)
    await sigra.testing.create_tables(auth)
    return auth


async def who_asks(scope, receive, send):
    identity: Identity | None = scope["sigra.identity"]
    await JSONResponse(identity and identity.method)(scope, receive, send)

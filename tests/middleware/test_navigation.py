"""A person who opens a page that needs a sign-in is sent there and comes back; a program is told what is wrong."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sigra import Refused, Route, current_user, hookimpl, requires
from sigra.errors import Unauthenticated
from sigra.http.redirects import LIMIT
from sigra.testing import PASSWORD, FrozenClock, WebSocketRefused, make_api_key, make_user
from tests.apps import running

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
    """Every path is for whoever is signed in."""
    user = await current_user(HTTPConnection(scope))
    await Response(f"{user.email} at {scope['path']}")(scope, receive, send)


def back(response: httpx2.Response) -> list[str]:
    """Where the sign-in page is told to send the person afterwards."""
    return parse_qs(urlsplit(response.headers["location"]).query, keep_blank_values=True).get("next", [])


async def test_a_person_is_sent_to_sign_in_and_comes_back() -> None:
    async with running(MEMORY, app=guarded) as client:
        user = await make_user(client.sigra)
        refused = await client.get("/reports/7?page=2&sort=name", headers=PAGE)
        page = await client.get(refused.headers["location"], headers=PAGE)
        form = {"email": user.email, "password": PASSWORD}
        signed_in = await client.as_browser().post(refused.headers["location"], data=form)
        there = await client.get(signed_in.headers["location"], headers=PAGE)

    assert refused.status_code == 303
    assert refused.headers["location"] == "/auth/login?next=%2Freports%2F7%3Fpage%3D2%26sort%3Dname"
    assert page.status_code == 200
    assert signed_in.headers["location"] == "/reports/7?page=2&sort=name"
    assert there.text == "ada@example.com at /reports/7"


async def test_hc38_the_way_to_sign_in_is_not_stored_and_asks_for_no_bearer_token() -> None:
    async with running(MEMORY) as client:
        refused = await client.get("/private", headers=PAGE)

    assert refused.headers.get("cache-control") == "no-store"
    assert "www-authenticate" not in refused.headers


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"accept": "*/*"}),
        ("GET", {"accept": "application/json"}),
        ("POST", PAGE),
        ("DELETE", PAGE),
        ("OPTIONS", PAGE),
    ],
)
async def test_everything_else_keeps_its_problem(method: str, headers: dict[str, str]) -> None:
    async with running(MEMORY, app=guarded) as client:
        refused = await client.request(method, "/", headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert "location" not in refused.headers


async def test_a_socket_is_refused_whatever_it_accepts() -> None:
    async with running(MEMORY) as client:
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/ws", headers=PAGE):
                pass

    assert refused.value.response.status_code == 401


async def test_a_sign_in_that_is_too_old_is_made_again() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await requires(fresh=True)(HTTPConnection(scope))

    clock = FrozenClock()
    async with running(MEMORY, app=app, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        opened = await client.get("/vault", headers=PAGE)
        called = await client.get("/vault")

    assert (opened.status_code, opened.headers["location"]) == (303, "/auth/reauthenticate?next=%2Fvault")
    assert opened.headers["cache-control"] == "no-store"
    assert called.status_code == 403


async def test_without_a_page_for_it_one_signs_in_again() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await requires(fresh=True)(HTTPConnection(scope))

    clock = FrozenClock()
    async with running(MEMORY, ["defaults", "-reauthentication"], app=app, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        opened = await client.get("/vault", headers=PAGE)

    assert opened.headers["location"] == "/auth/login?next=%2Fvault"


async def test_a_page_below_the_mount_path_leads_to_sign_in_and_back() -> None:
    async with running(MEMORY) as client:
        nobody = await client.get("/auth/account?done=x", headers=PAGE)
        program = await client.get("/auth/account")

    assert nobody.headers["location"] == "/auth/login?next=%2Fauth%2Faccount%3Fdone%3Dx"
    assert (program.status_code, program.json()["code"]) == (401, "unauthenticated")


class Strict:
    """A stranger's form, which needs a recent proof."""

    name, api = "strict", 1

    @hookimpl
    def register_routes(self) -> list[Route]:
        return [Route("/strict", self.take, methods=["POST"])]

    async def take(self, request: Request) -> Response:
        await requires(fresh=True)(request)
        return Response("taken")


async def test_a_form_that_needs_a_recent_proof_leads_there_and_back_to_the_account() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Strict()], clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        refused = await client.post("/auth/strict", data={"a": "b"})
        program = await client.post("/auth/strict", json={"a": "b"})
        proven = await client.post(refused.headers["location"], data={"password": PASSWORD})
        taken = await client.post("/auth/strict", data={"a": "b"})

    assert (refused.status_code, refused.headers["location"]) == (303, "/auth/reauthenticate?next=%2Fauth%2Faccount")
    assert (program.status_code, program.json()["code"]) == (403, "reauthentication_required")
    assert (proven.status_code, proven.headers["location"]) == (303, "/auth/account")
    assert taken.text == "taken"


async def test_a_form_without_an_account_page_to_come_back_to_goes_home() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", "-account", Strict()], clock=clock, home="/welcome") as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        refused = await client.post("/auth/strict", data={"a": "b"})
        proven = await client.post(refused.headers["location"], data={"password": PASSWORD})

    assert (refused.status_code, refused.headers["location"]) == (303, "/auth/reauthenticate")
    assert proven.headers["location"] == "/welcome"


async def test_a_form_of_the_application_keeps_its_problem() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await requires(fresh=True)(HTTPConnection(scope))

    clock = FrozenClock()
    async with running(MEMORY, app=app, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        refused = await client.post("/transfer", data={"a": "b"})

    assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required")


async def test_whom_a_sign_in_would_not_help_is_told_so() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await requires(scopes=["reports:read"])(HTTPConnection(scope))

    async with running(MEMORY, app=app) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        refused = await client.get("/", headers=PAGE)
        key = await make_api_key(client.sigra, user)
        broken = await client.get("/", headers={**PAGE, "authorization": f"Bearer {key}x"})

    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert (broken.status_code, broken.json()["code"]) == (401, "invalid_token")


async def test_without_a_sign_in_page_nobody_is_sent_there() -> None:
    async with running(MEMORY, ["defaults", "-pages"]) as client:
        refused = await client.get("/private", headers=PAGE)

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def test_a_sign_in_page_of_any_plugin_will_do() -> None:
    class Entrance:
        name, api = "entrance", 1

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [Route("/login", self.show, methods=["GET"])]

        async def show(self, request: Request) -> Response:
            return Response("sign in here")

    async with running(MEMORY, ["defaults", "-pages", Entrance()], mount_path="/id") as client:
        refused = await client.get("/private", headers=PAGE)
        page = await client.get(refused.headers["location"])

    assert refused.headers["location"] == "/id/login?next=%2Fprivate"
    assert page.text == "sign in here"


async def test_nobody_is_sent_in_a_circle() -> None:
    class Closed:
        name, api = "closed", 1

        @hookimpl
        async def check_request(self) -> None:
            raise Unauthenticated

    async with running(MEMORY, ["defaults", Closed()]) as client:
        outside = await client.get("/", headers=PAGE)
        page = await client.get(outside.headers["location"], headers=PAGE)

    assert outside.status_code == 303
    assert (page.status_code, page.json()["code"]) == (401, "unauthenticated")


async def test_a_plugin_may_answer_refusals_otherwise() -> None:
    class Otherwise:
        name, api = "otherwise", 1

        @hookimpl
        async def render_error(self, error: Refused) -> Response:
            return Response(f"sorry: {error.code}", error.status)

    async with running(MEMORY, ["defaults", Otherwise()]) as client:
        refused = await client.get("/private", headers=PAGE)

    assert (refused.status_code, refused.text) == (401, "sorry: unauthenticated")


async def test_a_dead_cookie_is_deleted_on_the_way() -> None:
    async with running(MEMORY) as client:
        refused = await client.get("/private", headers={**PAGE, "cookie": "sigra=" + "A" * 43})

    assert refused.status_code == 303
    assert refused.headers["set-cookie"].startswith("sigra=;")


def asked(raw_path: bytes | None, query: bytes = b"", path: str = "/") -> dict[str, Any]:
    """A navigation as a server hands it on."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": [(b"accept", b"text/html")],
        "client": None,
    }
    return scope if raw_path is None else {**scope, "raw_path": raw_path}


async def location(scope: Scope) -> httpx2.Response:
    async with running(MEMORY, app=guarded) as client:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await client.app(scope, lambda: None, send)  # type: ignore[arg-type, return-value]
    return httpx2.Response(sent[0]["status"], headers=sent[0]["headers"])


@pytest.mark.parametrize(
    ("raw_path", "query", "target"),
    [
        (b"/a%2Fb", b"", "/a%2Fb"),
        (b"/a%3Fb", b"c", "/a%3Fb?c"),
        (b"/caf%C3%A9", b"q=%E2%9C%93", "/caf%C3%A9?q=%E2%9C%93"),
        ("/café".encode(), b"", "/caf%C3%A9"),
        (b"/a", b"next=/b&next=//evil.test", "/a?next=/b&next=//evil.test"),
        (b"/a", b"next=%2Fb%26x", "/a?next=%2Fb%26x"),
        (b"/a", b"x#y&z", "/a?x#y&z"),
        (b"/a;b=c,d", b"e+f", "/a;b=c,d?e+f"),
    ],
)
async def test_hc36_the_target_is_the_raw_path_and_query_in_one_parameter(
    raw_path: bytes, query: bytes, target: str
) -> None:
    refused = await location(asked(raw_path, query))

    assert refused.status_code == 303
    assert urlsplit(refused.headers["location"]).path == "/auth/login"
    assert back(refused) == [target]


async def test_hc36_a_server_that_does_not_tell_the_raw_path_is_no_obstacle() -> None:
    assert back(await location(asked(None, b"q", path="/a b?c"))) == ["/a%20b%3Fc?q"]


@pytest.mark.parametrize(
    "raw_path",
    [
        b"//evil.test",
        b"/\\evil.test",
        b"/%2Fevil.test",
        b"/%5cevil.test",
        b"/..//evil.test",
        b"/\t/evil.test",
        b"/a\r\nset-cookie:x=y",
        b"http://evil.test/",
        b"/" + b"a" * LIMIT,
    ],
)
async def test_hc36_a_path_that_is_no_safe_target_is_left_out(raw_path: bytes) -> None:
    refused = await location(asked(raw_path))

    assert refused.status_code == 303
    assert refused.headers["location"] == "/auth/login"


async def test_a_path_that_is_no_text_is_left_out() -> None:
    refused = await location(asked(b"/\xff"))

    assert (refused.status_code, refused.headers["location"]) == (303, "/auth/login")

"""Step-up: a route of the application asks for level 2, and its user comes back to it with a second factor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pyotp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from sigra import Authenticator, User, hookimpl, requires
from sigra.testing import PASSWORD, Client, FrozenClock, WebSocketRefused, make_api_key, make_user
from tests.apps import Postbox, running
from tests.plugins.tags import Tag, add_tag, challenged, proven
from tests.policies import Factor

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
FORM = {"content-type": "application/x-www-form-urlencoded", **PAGE}
STRONG = requires(assurance="aal2")
AGAIN = "/auth/reauthenticate?next=%2Fvault%3Fdrawer%3D3"


async def vault(request: Request) -> Response:
    user = await STRONG(request)
    return JSONResponse({"email": user.email})


async def line(websocket: WebSocket) -> None:
    await STRONG(websocket)
    await websocket.accept()
    await websocket.close()


application = Starlette(
    routes=[Route("/vault", vault, methods=["GET", "POST"]), WebSocketRoute("/line", line)],
)


async def spared(client: Client) -> User:
    """Somebody in a trusted browser, where only the password was given."""
    user = await make_user(client.sigra)
    await add_tag(client, user)
    await proven(client, user, trust_browser=True)
    assert (await challenged(client, user)).status_code == 200
    return user


async def prove_again(client: Client) -> httpx2.Response:
    """Password and tag, by a program."""
    first = await client.post("/auth/reauthenticate", json={"password": PASSWORD})
    assert first.status_code == 202
    return await client.post("/auth/login/tag", json={"code": "right"})


# There and back


async def test_hc10_a_person_in_a_trusted_browser_gives_the_factor_and_comes_back(database: str) -> None:
    async with running(database, ["defaults", Tag()], app=application) as client:
        await spared(client)
        opened = await client.get("/vault?drawer=3", headers=PAGE)
        assert (opened.status_code, opened.headers.get("location")) == (303, AGAIN)
        page = await client.get(opened.headers["location"], headers=PAGE)
        first = await client.post(opened.headers["location"], data={"password": PASSWORD}, headers=PAGE)
        still = await client.get("/vault?drawer=3")
        last = await client.post("/auth/login/tag", content="code=right", headers=FORM)
        back = await client.get(last.headers["location"], headers=PAGE)

    assert page.status_code == 200
    assert (first.status_code, first.headers["location"]) == (303, "/auth/login/challenge")
    assert still.status_code == 403
    assert (last.status_code, last.headers["location"]) == (303, "/vault?drawer=3")
    assert back.json() == {"email": "ada@example.com"}


async def test_hc10_a_program_is_told_gives_the_factor_and_repeats(database: str) -> None:
    async with running(database, ["defaults", Tag()], app=application) as client:
        await spared(client)
        before = client.cookies["sigra"]
        refused = await client.post("/vault", json={})
        assert refused.status_code == 403
        proven_again = await prove_again(client)
        repeated = await client.post("/vault", json={})
        after = client.cookies["sigra"]
        with_the_old_one = await Client(client.app, client.sigra, cookies={"sigra": before}).post("/vault", json={})

    assert refused.json()["code"] == "assurance_required"
    assert proven_again.json()["status"] == "signed_in"
    assert repeated.status_code == 200
    assert before != after
    assert with_the_old_one.status_code == 401


async def test_a_socket_is_refused_and_open_after_the_factor() -> None:
    async with running(MEMORY, ["defaults", Tag()], app=application) as client:
        await spared(client)
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/line", headers={"origin": "http://localhost"}):
                pass
        await prove_again(client)
        async with client.websocket("/line", headers={"origin": "http://localhost"}) as open_line:
            is_open = open_line is not None

    assert (refused.value.response.status_code, refused.value.response.json()["code"]) == (403, "assurance_required")
    assert is_open


async def test_a_code_of_an_app_steps_up() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", "totp"], app=application, clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        begun = await client.post("/auth/totp/enroll", json={})
        app = pyotp.TOTP(begun.json()["secret"])
        await client.post("/auth/totp/confirm", json={"code": app.at(clock())})
        added = await client.get("/vault?drawer=3", headers=PAGE)
        first = await client.post(added.headers["location"], data={"password": PASSWORD}, headers=PAGE)
        clock.tick(timedelta(seconds=30))
        last = await client.post("/auth/login/totp", content=f"code={app.at(clock())}", headers=FORM)
        back = await client.get(last.headers["location"])

    assert (added.status_code, added.headers["location"]) == (303, AGAIN)
    assert (first.headers["location"], last.headers["location"]) == ("/auth/login/challenge", "/vault?drawer=3")
    assert back.status_code == 200


# What is not in reach


@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=6)], ids=["fresh", "stale"])
async def test_an_account_without_a_factor_is_told_to_add_one_and_sent_in_no_circle(age: timedelta) -> None:
    clock = FrozenClock()
    async with running(MEMORY, app=application, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(age)
        opened = await client.get("/vault", headers=PAGE)
        called = await client.get("/vault")

    assert (opened.status_code, called.status_code) == (403, 403)
    assert opened.headers["content-type"].startswith("text/html")
    assert "your account has none" in opened.text
    assert 'href="/auth/account"' in opened.text
    assert called.json()["code"] == "assurance_required"
    assert called.json()["detail"].endswith("Add one to your account first.")


async def test_a_factor_that_was_just_added_is_asked_for() -> None:
    async with running(MEMORY, ["defaults", Tag()], app=application) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        before = await client.get("/vault", headers=PAGE)
        await client.post("/auth/tags/blue", json={})
        after = await client.get("/vault?drawer=3", headers=PAGE)
        await prove_again(client)
        there = await client.get("/vault", headers=PAGE)

    assert (before.status_code, after.status_code, there.status_code) == (403, 303, 200)
    assert after.headers["location"] == AGAIN


async def test_who_has_given_two_things_of_one_kind_is_told_and_sent_in_no_circle() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Tag(), box], app=application) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Tag).of[user.id].add("blue")
        await client.post("/auth/magic-link", json={"email": user.email})
        await client.sigra.worker.work()
        await client.post("/auth/magic-link/verify", json={"token": box.token()})
        await client.post("/auth/login/tag", json={"code": "right"})
        level = (await client.get("/auth/session")).json()["identity"]["assurance"]
        opened = await client.get("/vault", headers=PAGE)

    assert level == "aal1"
    assert opened.status_code == 403
    assert "two different factors" in opened.text


async def test_what_is_no_factor_by_the_standard_is_not_asked_for_again_in_vain() -> None:
    class Listed:
        name, api = "listed", 1

        @hookimpl
        async def authenticators_for_user(self) -> list[Authenticator]:
            return [Authenticator("mfa", "duo", "1", "Duo")]

    async with running(MEMORY, ["defaults", Factor("duo", amr="duo"), Listed()], app=application) as client:
        await client.sign_in(await make_user(client.sigra))
        await client.post("/auth/login/duo", json={"code": "right"})
        amr = (await client.get("/auth/session")).json()["identity"]["amr"]
        opened = await client.get("/vault", headers=PAGE)

    assert amr == ["pwd", "duo"]
    assert opened.status_code == 403


async def test_a_key_is_no_session_that_could_step_up() -> None:
    async with running(MEMORY, ["defaults", Tag()], app=application) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Tag).of[user.id].add("blue")
        key = await make_api_key(client.sigra, user)
        refused = await client.get("/vault", headers={"authorization": f"Bearer {key}"})

    assert (refused.status_code, refused.json()["code"]) == (403, "assurance_required")


@pytest.mark.parametrize("off", ["pages", "second_factor"])
async def test_without_pages_or_policy_it_is_a_problem_for_everybody(off: str) -> None:
    async with running(MEMORY, ["defaults", f"-{off}"], app=application) as client:
        await client.sign_in(await make_user(client.sigra))
        refused: Any = await client.get("/vault", headers=PAGE)

    assert (refused.status_code, refused.json()["code"]) == (403, "assurance_required")


async def test_without_an_account_page_there_is_no_way_to_one() -> None:
    async with running(MEMORY, ["defaults", "-account"], app=application) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await client.get("/vault", headers=PAGE)

    assert "your account has none" in refused.text
    assert "/auth/account" not in refused.text

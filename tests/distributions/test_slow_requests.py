"""A stolen session holds its request open until its owner has ended it: whatever it asks for is not done after that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pyotp
import pytest

from sigra.testing import PASSWORD, Client, make_user
from tests.apps import running
from tests.passkeys.authenticator import Authenticator
from tests.policies import Recorder
from tests.slow import held_open

PLUGINS = ["defaults", "totp", "passkeys"]

Body = Mapping[str, Any]


def just(**body: Any) -> Callable[[Client], Awaitable[Body]]:
    async def ask(client: Client) -> Body:
        return body

    return ask


async def a_code(client: Client) -> Body:
    begun = await client.post("/auth/totp/enroll", json={})
    return {"code": pyotp.TOTP(begun.json()["secret"]).at(client.sigra.clock())}


async def a_passkey(client: Client) -> Body:
    options = await client.post("/auth/passkeys/register/options", json={})
    return {"credential": Authenticator(origin=client.sigra.settings.base_url).create(options.json())}


ASKED = {
    "POST /api-keys": just(name="mine", scopes=[]),
    "POST /email/change": just(new_email="eve@example.com"),
    "POST /account/delete": just(),
    "PATCH /account": just(name="Eve"),
    "POST /password/change": just(current_password=PASSWORD, new_password="a train of thought leaves at nine"),
    "POST /totp/confirm": a_code,
    "POST /passkeys/register": a_passkey,
}


def where(way: str) -> tuple[str, str]:
    method, _, path = way.partition(" ")
    return method, f"/auth{path}"


@pytest.mark.parametrize("way", ASKED)
async def test_hc32_a_slow_request_does_nothing_once_its_session_is_ended(way: str, database: str) -> None:
    recorder = Recorder()
    async with running(database, [*PLUGINS, recorder]) as thief:
        user = await make_user(thief.sigra)
        owner = Client(thief.app, thief.sigra)
        stolen = (await thief.sign_in(user)).json()["session"]["id"]
        body = await ASKED[way](thief)
        await owner.sign_in(user)

        async def end() -> None:
            assert (await owner.delete(f"/auth/sessions/{stolen}")).status_code == 204

        answer = await held_open(thief, *where(way), body, end)

    assert answer.status_code == 401
    assert {event.name for event in recorder.handled} == {"user.created", "sign_in.succeeded", "session.revoked"}


@pytest.mark.parametrize("way", ASKED)
async def test_hc08_a_slow_request_does_nothing_once_its_account_is_disabled(way: str, database: str) -> None:
    recorder = Recorder()
    async with running(database, [*PLUGINS, recorder]) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        await client.sign_in(user)
        body = await ASKED[way](client)

        async def disable() -> None:
            await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, "disabled"))

        answer = await held_open(client, *where(way), body, disable)

    assert answer.status_code == 401
    assert {event.name for event in recorder.handled} == {"user.created", "sign_in.succeeded", "user.disabled"}


@pytest.mark.parametrize("how", ["ended", "renewed"])
async def test_hc32_a_session_that_has_ended_ends_no_others(how: str, database: str) -> None:
    """Neither the thief's those of the owner, nor one tab's that of the other."""
    async with running(database) as thief:
        user = await make_user(thief.sigra)
        owner = Client(thief.app, thief.sigra)
        stolen = (await thief.sign_in(user)).json()["session"]["id"]
        await owner.sign_in(user)
        tab = Client(thief.app, thief.sigra, cookies=None)
        tab.cookies.update(thief.cookies)

        async def meanwhile() -> None:
            if how == "ended":
                await owner.delete(f"/auth/sessions/{stolen}")
            else:
                assert (await tab.post("/auth/reauthenticate", json={"password": PASSWORD})).status_code == 200

        answer = await held_open(thief, "POST", "/auth/sessions", {"_method": "DELETE"}, meanwhile, form=True)
        left = [(await one.get("/auth/session")).status_code for one in (owner, tab)]

    assert answer.status_code == 401
    assert left == [200, 401 if how == "ended" else 200]


@pytest.mark.parametrize("way", ASKED)
async def test_a_slow_request_whose_session_lives_is_answered(way: str) -> None:
    async with running("sqlite:///:memory:", PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        body = await ASKED[way](client)

        async def wait() -> None:
            return None

        answer = await held_open(client, *where(way), body, wait)

    assert answer.is_success

"""Keys are rotated while sessions, pending sign-ins and API keys are under way: all go on until their key retires."""

from __future__ import annotations

from typing import Any

from sigra.testing import Client, make_api_key, make_user
from tests.apps import running
from tests.policies import Factor

OLD, NEW = "the-old-key-of-the-ring-with-enough-in-it", "the-new-key-of-the-ring-with-enough-in-it"


async def under_way(database: str) -> dict[str, Any]:
    """A session, a pending sign-in and a key, made under the old key alone."""
    async with running(database, ["defaults", Factor()], secret_keys=[OLD]) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        token = (await client.sign_in(user)).json()["login_token"]
        await client.post("/auth/login/factor", json={"code": "right"})
        session = client.cookies["sigra"]
        waiting = (await Client(client.app, client.sigra).sign_in(user)).json()["login_token"]
    assert token != waiting
    return {"session": session, "waiting": waiting, "key": key}


async def accepted(client: Client, held: dict[str, Any]) -> list[int]:
    """How each is answered."""
    finishing = {"code": "right", "login_token": held["waiting"]}
    answers = [
        await client.get("/private", headers={"cookie": f"sigra={held['session']}"}),
        await client.get("/private", headers={"authorization": f"Bearer {held['key']}"}),
        await client.post("/auth/login/factor", json=finishing),
    ]
    return [answer.status_code for answer in answers]


async def test_hc23_what_is_under_way_goes_on_while_its_key_is_in_the_ring(database: str) -> None:
    held = await under_way(database)
    async with running(database, ["defaults", Factor()], secret_keys=[NEW, OLD]) as client:
        answers = await accepted(client, held)

    assert answers == [200, 200, 200]


async def test_hc23_what_is_under_way_ends_when_its_key_retires(database: str) -> None:
    held = await under_way(database)
    async with running(database, ["defaults", Factor()], secret_keys=[NEW]) as client:
        answers = await accepted(client, held)

    assert answers == [401, 401, 401]


async def test_hc23_what_is_renewed_after_a_rotation_outlives_the_old_key(database: str) -> None:
    held = await under_way(database)
    async with running(database, ["defaults", Factor()], secret_keys=[NEW, OLD]) as client:
        await client.post("/auth/login/factor", json={"code": "right", "login_token": held["waiting"]})
        session = client.cookies["sigra"]
    async with running(database, ["defaults", Factor()], secret_keys=[NEW]) as client:
        answer = await client.get("/private", headers={"cookie": f"sigra={session}"})

    assert answer.status_code == 200

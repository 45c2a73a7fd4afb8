"""Guesses share one budget, a stolen row is worth nothing, and nothing is half done."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from sigra import Login, Sigra
from sigra.testing import Client, FrozenClock, cheap_settings, make_user
from sigra_totp import TOTP
from sigra_totp.codes import Parameters, secret_of
from tests.apps import running
from tests.policies import Block, Factor

PLUGINS = ["defaults", "totp"]
USUAL = Parameters("SHA1", 6, 30)
BUDGET = 10
"""Of the limit `factor`, in a quarter of an hour."""


def browser(client: Client, number: int) -> Client:
    """Everybody else, each from an address of their own."""
    return Client(client.app, client.sigra, address=(f"198.51.{100 + number // 250}.{1 + number % 250}", 50_000))


async def add(client: Client, user: Any) -> bytes:
    """An app, added a minute ago, and its seed."""
    auth, enrollments = client.sigra, client.sigra.plugin(TOTP).enrollments

    async def begin(tx: Any) -> bytes:
        seed = await enrollments.begin(auth, tx, user, USUAL)
        await enrollments.confirm(auth, tx, user, seed, USUAL.step(auth.clock()) - 2)
        return seed

    return await auth.db.transaction(begin)


async def pending(client: Client, user: Any, count: int) -> list[Client]:
    """So many sign-ins that wait for a factor, each in a browser of its own."""
    auth = client.sigra
    login = Login(user, ("pwd",), methods=("password",), owed=frozenset({"mfa"}))
    browsers = [browser(client, number) for number in range(count)]
    for one in browsers:
        waiting = partial(auth.seam.pendings.create, login=login, lifetime=timedelta(minutes=10))
        token, _ = await auth.db.transaction(waiting)
        one.cookies.set(auth.settings.cookie_name("sigra-login"), token)
    return browsers


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many codes were compared with those of each secret."""
    seen: Counter[str] = Counter()
    match = Parameters.match

    def counting(parameters: Parameters, seed: bytes, *arguments: Any, **options: Any) -> int | None:
        seen[secret_of(seed)] += 1
        return match(parameters, seed, *arguments, **options)

    monkeypatch.setattr(Parameters, "match", counting)
    return seen


def wrong(seed: bytes, now: Any) -> str:
    near = {USUAL.code(seed, USUAL.step(now) + steps) for steps in range(-2, 3)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


async def guess(browsers: list[Client], code: str, each: int) -> Counter[int]:
    """All of them at once, each so often."""
    tries = [one.post("/auth/login/totp", json={"code": code}) for one in browsers for _ in range(each)]
    return Counter(answer.status_code for answer in await asyncio.gather(*tries))


# Guessing


async def test_hc13_of_200_wrong_codes_at_once_no_more_are_looked_at_than_the_budget(
    database: str, looked_at: Counter[str]
) -> None:
    async with running(database, PLUGINS, limits={}) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
        browsers = await pending(client, user, 40)
        statuses = await guess(browsers, wrong(seed, client.sigra.clock()), each=5)
        right = {"code": USUAL.code(seed, USUAL.step(client.sigra.clock()))}
        late = await browser(client, 0).post("/auth/login/totp", json=right)

    # On a busy machine some of so many are told to come back, where they wait for the database.
    assert set(statuses) <= {401, 429, 503}
    assert 0 < looked_at[secret_of(seed)] <= BUDGET
    assert late.status_code != 200


async def test_hc13_one_after_the_other_exactly_the_budget_is_looked_at(database: str, looked_at: Counter[str]) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, limits={}, clock=clock) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
        browsers = await pending(client, user, 4)
        code = wrong(seed, clock())
        statuses = [(await one.post("/auth/login/totp", json={"code": code})).status_code for one in browsers * 4]
        right = {"code": USUAL.code(seed, USUAL.step(clock()))}
        [last] = await pending(client, user, 1)
        refused = await last.post("/auth/login/totp", json=right)
        clock.tick(timedelta(minutes=15))
        [later] = await pending(client, user, 1)
        right = {"code": USUAL.code(seed, USUAL.step(clock()))}
        accepted = await later.post("/auth/login/totp", json=right)

    assert statuses == [401] * BUDGET + [429] * 6
    assert looked_at[secret_of(seed)] == BUDGET + 1
    assert (refused.status_code, accepted.status_code) == (429, 200)


async def test_hc13_wrong_codes_of_every_factor_share_one_budget(database: str, looked_at: Counter[str]) -> None:
    async with running(database, [*PLUGINS, Factor()], limits={}) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
        browsers = await pending(client, user, 4)
        code = {"code": wrong(seed, client.sigra.clock())}
        statuses = []
        for path in ("login/factor", "login/recovery-code", "login/totp"):
            statuses += [(await one.post(f"/auth/{path}", json=code)).status_code for one in browsers]

    assert statuses == [401] * BUDGET + [429] * 2
    assert looked_at[secret_of(seed)] == 2


@pytest.mark.parametrize("each", [1, 5])
async def test_hc13_under_a_lock_no_more_are_looked_at_than_it_lets_pass(
    database: str, looked_at: Counter[str], each: int
) -> None:
    async with running(database, [*PLUGINS, "lockout"]) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
        browsers = await pending(client, user, 200 // each)
        statuses = await guess(browsers, wrong(seed, client.sigra.clock()), each)
        right = {"code": USUAL.code(seed, USUAL.step(client.sigra.clock()))}
        locked = await browsers[0].post("/auth/login/totp", json=right)

    assert set(statuses) <= {401, 503}
    assert 0 < looked_at[secret_of(seed)] <= 5
    assert locked.status_code == 401


async def test_hc13_a_locked_code_costs_the_work_of_a_wrong_one(
    database: str, looked_at: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database, [*PLUGINS, Block()]) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
        auth = client.sigra
        [one] = await pending(client, user, 1)
        opened: list[object] = []
        vault_open = type(auth.vault).open
        monkeypatch.setattr(type(auth.vault), "open", lambda *given: opened.append(1) or vault_open(*given))
        right = {"code": USUAL.code(seed, USUAL.step(auth.clock()))}
        answer = await one.post("/auth/login/totp", json=right)

    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_proof"
    assert looked_at[secret_of(seed)] == 0
    assert (looked_at.total(), len(opened)) == (1, 1)


async def test_hc13_five_wrong_codes_end_a_sign_in(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
        [one] = await pending(client, user, 1)
        code = {"code": wrong(seed, client.sigra.clock())}
        answers = [(await one.post("/auth/login/totp", json=code)).json()["code"] for _ in range(6)]

    assert answers == ["invalid_proof"] * 5 + ["login_expired"]


# A stolen database


async def test_hc22_a_seed_lies_sealed(database: str, kept: Any) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
        row = await kept(client, user)

    assert seed not in row["seed"]
    assert secret_of(seed).encode() not in row["seed"]


async def test_hc22_a_seed_that_was_moved_to_another_user_lets_nobody_in(
    database: str, kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever can write to the database puts the seed of an account of their own into another's row."""
    async with running(database, PLUGINS) as client:
        ada, eve = await make_user(client.sigra), await make_user(client.sigra, "eve@example.com")
        await add(client, ada)
        known = await add(client, eve)
        table = client.sigra.metadata.tables["sigra_totp"]
        moved = update(table).where(table.c.user_id == ada.id).values(seed=(await kept(client, eve))["seed"])
        await client.sigra.db.transaction(lambda tx: tx.execute(moved))
        [one] = await pending(client, ada, 1)
        code = {"code": USUAL.code(known, USUAL.step(client.sigra.clock()))}
        with caplog.at_level(logging.ERROR, "sigra"):
            answer = await one.post("/auth/login/totp", json=code)

    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert not one.signed_in
    assert secret_of(known) not in caplog.text + answer.text
    assert code["code"] not in caplog.text


async def test_hc23_a_seed_opens_under_an_older_key_until_that_is_taken_out(database: str) -> None:
    old, new = "an-old-key-of-the-ring-for-tests-0", "a-newer-key-of-the-ring-for-tests-1"
    answers = []
    async with running(database, PLUGINS, secret_keys=[old]) as client:
        user = await make_user(client.sigra)
        seed = await add(client, user)
    for keys in ([new, old], [new]):
        auth = Sigra(cheap_settings(database, secret_keys=keys), PLUGINS, clock=FrozenClock())
        async with auth, Client(auth.wrap(client.app), auth) as other:
            await other.sign_in_as(user)
            code = USUAL.code(seed, USUAL.step(auth.clock()))
            answers.append((await other.post("/auth/login/totp", json={"code": code})).status_code)

    assert answers == [200, 503]

"""However many come at one instant, and to however many workers: as many get through as the limit says."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from sigra import Sigra
from sigra.testing import FrozenClock, cheap_settings, create_tables
from tests.limits.racers import at_once, count, race

MEMORY = "sqlite:///:memory:"
ONE, MANY = "2001:db8::1", "203.0.113.{}"


@pytest.fixture
async def filled(database: str) -> str:
    async with Sigra(cheap_settings(database), ["sessions"]) as auth:
        await create_tables(auth)
    return database


def limited(database: str, store: str = "database:", clock: FrozenClock | None = None) -> Sigra:
    return Sigra(cheap_settings(database, limits={"url": store}), ["sessions"], clock=clock or FrozenClock())


REFUSALS = {"too_many_attempts", "unavailable"}
"""What the others are told: who waits too long for the turn to write, on a busy machine, is told to come back."""


async def test_hc42_200_at_once_pass_exactly_the_limit(filled: str) -> None:
    async with limited(filled) as auth:
        of_a_client, of_an_account = await at_once(auth, ONE, 200), await at_once(auth, MANY, 200)

    assert (of_a_client.pop("passed"), of_an_account.pop("passed")) == (10, 90)
    assert {*of_a_client, *of_an_account} <= REFUSALS


async def test_hc42_200_at_once_by_two_processes_pass_exactly_the_limit(filled: str) -> None:
    of_a_client, of_an_account = await race(filled, "database:", [ONE, MANY])

    assert (of_a_client.pop("passed"), of_an_account.pop("passed")) == (10, 90)
    assert {*of_a_client, *of_an_account} <= REFUSALS


@pytest.mark.parametrize("store", ["redis", "memory:"])
async def test_hc42_200_at_once_pass_exactly_the_limit_of_another_store(store: str, redis: str) -> None:
    async with limited(MEMORY, redis if store == "redis" else store) as auth:
        of_a_client, of_an_account = await at_once(auth, ONE, 200), await at_once(auth, MANY, 200)

    assert of_a_client == {"passed": 10, "too_many_attempts": 190}
    assert of_an_account == {"passed": 90, "too_many_attempts": 110}


async def test_hc42_200_at_once_by_two_processes_pass_exactly_the_limit_of_redis(redis: str) -> None:
    of_a_client, of_an_account = await race(MEMORY, redis, [ONE, MANY])

    assert of_a_client == {"passed": 10, "too_many_attempts": 190}
    assert of_an_account == {"passed": 90, "too_many_attempts": 110}


async def test_hc42_the_sweeper_takes_no_window_that_somebody_counts_in(filled: str) -> None:
    clock = FrozenClock()
    async with limited(filled, clock=clock) as auth:
        await count(auth, ONE)
        clock.tick(timedelta(hours=2))
        sweep = next(job.run for job in auth.worker._jobs._jobs if job.name == "limits")
        *outcomes, _ = await asyncio.gather(*(count(auth, ONE) for _ in range(30)), *(sweep() for _ in range(5)))
        later = [await count(auth, ONE) for _ in range(3)]

    assert Counter(outcomes[:30]) == {"passed": 10, "too_many_attempts": 20}
    assert set(later) == {"too_many_attempts"}


async def test_two_who_hold_the_same_rows_in_other_orders_both_get_them(filled: str) -> None:
    async with limited(filled) as auth:
        table = auth.metadata.tables["sigra_limits"]
        rows = [{"id": bytes([n]) * 32, "taken": {"at": []}, "expires_at": auth.clock()} for n in range(8)]

        async def hold(step: int) -> list[bytes]:
            async def held(tx) -> list[bytes]:
                return [row["id"] for row in await auth.db.hold_all(tx, table, rows[::step])]

            return await auth.db.transaction(held)

        forth, back = await asyncio.gather(*(hold(step) for step in (1, -1) * 20)), [row["id"] for row in rows[::-1]]

    assert forth[1] == back
    assert forth[0] == back[::-1]

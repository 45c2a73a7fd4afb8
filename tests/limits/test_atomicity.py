"""However many come at one instant, and to however many workers: as many get through as the limit says."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from sigra import Sigra
from sigra.testing import FrozenClock, cheap_settings, create_tables
from tests.limits.racers import count, race


@pytest.fixture
async def filled(database: str) -> str:
    async with Sigra(cheap_settings(database), ["sessions"]) as auth:
        await create_tables(auth)
    return database


async def at_once(database: str, store: str, clients: str) -> Counter[str]:
    """What came of 200 tries at one instant in this process."""
    settings = cheap_settings(database, limits={"url": store})
    async with Sigra(settings, ["sessions"], clock=FrozenClock()) as auth:
        tries = (count(auth, clients.format(number), "ada@example.com") for number in range(200))
        return Counter(await asyncio.gather(*tries))


async def test_hc42_200_at_once_pass_exactly_the_limit(filled: str) -> None:
    of_a_client = await at_once(filled, "database:", "2001:db8::1")
    of_an_account = await at_once(filled, "database:", "203.0.113.{}")

    assert of_a_client == {"passed": 10, "too_many_attempts": 190}
    assert of_an_account == {"passed": 90, "too_many_attempts": 110}


async def test_hc42_200_at_once_by_two_processes_pass_exactly_the_limit(filled: str) -> None:
    of_a_client = await race(filled, "database:", "2001:db8::1")
    of_an_account = await race(filled, "database:", "203.0.113.{}")

    assert of_a_client == {"passed": 10, "too_many_attempts": 190}
    assert of_an_account == {"passed": 90, "too_many_attempts": 110}


@pytest.mark.parametrize("store", ["redis", "memory:"])
async def test_hc42_200_at_once_pass_exactly_the_limit_of_another_store(store: str, redis: str) -> None:
    of_a_client = await at_once("sqlite:///:memory:", redis if store == "redis" else store, "2001:db8::1")

    assert of_a_client == {"passed": 10, "too_many_attempts": 190}


async def test_hc42_200_at_once_by_two_processes_pass_exactly_the_limit_of_redis(redis: str) -> None:
    of_a_client = await race("sqlite:///:memory:", redis, "2001:db8::1")
    of_an_account = await race("sqlite:///:memory:", redis, "203.0.113.{}")

    assert of_a_client == {"passed": 10, "too_many_attempts": 190}
    assert of_an_account == {"passed": 90, "too_many_attempts": 110}

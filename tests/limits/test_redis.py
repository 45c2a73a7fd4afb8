"""Counts in Redis, and what happens while it does not serve."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import pytest
import redis as client
import time_machine

from sigra import ConfigurationError, Sigra
from sigra.limits.redis import PATIENCE, PAUSE
from sigra.testing import Client, FrozenClock, cheap_settings, make_user
from tests import servers
from tests.apps import running
from tests.limits.racers import count

MEMORY = "sqlite:///:memory:"
WRONG = {"email": "ada@example.com", "password": "no such horse"}


def url_of(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def limited(store: str, rate: str = "2/minute") -> AsyncIterator[tuple[Client, FrozenClock]]:
    """A client, and the clock by which Redis is left alone."""
    clock = FrozenClock()
    limits = {"url": store, "rules": {"sign_in_client": rate}}
    async with running(MEMORY, clock=clock, limits=limits) as browser:
        await make_user(browser.sigra)
        yield browser, clock


async def guesses(browser: Client, times: int) -> list[int]:
    return [(await browser.post("/auth/login", json=WRONG)).status_code for _ in range(times)]


def kept(store: str) -> int:
    """How many windows Redis holds."""
    with client.Redis.from_url(store) as connection:
        return len(connection.keys("sigra-limits:*"))


@contextmanager
def standing_still(store: str) -> Iterator[None]:
    """Stop a Redis in the middle: it takes connections, and never answers."""
    with client.Redis.from_url(store) as connection:
        process = connection.info("server")["process_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


async def test_redis_counts_by_user_password_and_number(redis: str) -> None:
    async with limited(redis) as (browser, _):
        outcomes = await guesses(browser, 3)

    assert outcomes == [401, 401, 429]
    assert "sigra:" in redis
    assert redis.endswith("/1")
    assert kept(redis) == 2
    assert kept(redis.removesuffix("1") + "0") == 0


async def test_hc42_a_try_after_the_seconds_that_redis_tells_passes(redis: str) -> None:
    with time_machine.travel(1_800_000_000.4, tick=False) as now:
        async with limited(redis) as (browser, _):
            await guesses(browser, 1)
            now.shift(20.3)
            await guesses(browser, 1)
            refused = await browser.post("/auth/login", json=WRONG)
            now.shift(int(refused.headers["retry-after"]) - 1)
            early = await guesses(browser, 1)
            now.shift(1)
            late = await guesses(browser, 2)

    assert refused.headers["retry-after"] == "40"
    assert early == [429]
    assert late == [401, 429]


async def test_hc42_limits_hold_when_redis_is_killed_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    port = servers.free_port()
    with servers.redis(port) as store:
        async with limited(store, "4/minute") as (browser, clock):
            before = await guesses(browser, 2)
            with client.Redis.from_url(store) as connection:
                os.kill(connection.info("server")["process_id"], signal.SIGKILL)
            meanwhile = await guesses(browser, 6)

    assert before == [401, 401]
    assert meanwhile == [401] * 4 + [429] * 2
    told = [record.getMessage() for record in caplog.records if record.name == "sigra.limits"]
    assert len(told) == 1
    assert "are counted in the database" in told[0]

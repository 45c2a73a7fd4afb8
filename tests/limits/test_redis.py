"""Counts in Redis, and what happens while it does not serve."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import redis as client
import time_machine

from sigra import ConfigurationError, Sigra
from sigra.limits.redis import PAUSE
from sigra.testing import Client, FrozenClock, cheap_settings, make_user
from tests import servers
from tests.apps import running

MEMORY = "sqlite:///:memory:"
WRONG = {"email": "ada@example.com", "password": "no such horse"}


@asynccontextmanager
async def limited(store: str, rate: str = "2/minute") -> AsyncIterator[tuple[Client, FrozenClock]]:
    """A client, and the clock by which a Redis that failed is left alone."""
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


def kill(store: str) -> None:
    with client.Redis.from_url(store) as connection:
        os.kill(connection.info("server")["process_id"], signal.SIGKILL)


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


# Outages


async def test_hc42_limits_hold_when_redis_is_killed_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    with servers.redis() as store:
        async with limited(store, "4/minute") as (browser, _):
            before = await guesses(browser, 2)
            kill(store)
            meanwhile = await guesses(browser, 6)

    assert before == [401, 401]
    assert meanwhile == [401] * 4 + [429] * 2
    [told] = [record.getMessage() for record in caplog.records if record.name == "sigra.limits"]
    assert told.endswith("are counted in the database.")


async def test_hc42_200_at_once_pass_exactly_the_limit_while_redis_stands_still(redis: str) -> None:
    async with limited(redis, "10/minute") as (browser, _):
        with standing_still(redis):
            answers = await asyncio.gather(*(guesses(browser, 1) for _ in range(200)))

    assert sorted(answers) == [[401]] * 10 + [[429]] * 190


async def test_hc42_a_crowd_is_no_outage_and_gets_no_second_window(
    redis: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(redis) as (browser, _):
        before = await guesses(browser, 2)
        with client.Redis.from_url(redis) as connection:
            # Counting waits, and everything else is answered: as when too many are counted before.
            connection.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
            crowd = await asyncio.gather(*(guesses(browser, 1) for _ in range(40)))
            connection.execute_command("CLIENT", "UNPAUSE")
        after = await guesses(browser, 1)

    assert before == [401, 401]
    assert crowd == [[503]] * 40
    assert after == [429]
    assert "Redis does not count" not in caplog.text


async def test_who_asks_at_once_whether_redis_answers_asks_it_once(redis: str) -> None:
    async with limited(redis) as (browser, _):
        store = browser.sigra.limits.store
        with client.Redis.from_url(redis) as connection:
            before = connection.info("stats")["total_connections_received"]
            up = await asyncio.gather(*(store.serves() for _ in range(50)))
            asked = connection.info("stats")["total_connections_received"] - before
        with standing_still(redis):
            down = await store.serves()

    assert up == [True] * 50
    assert asked == 1
    assert down is False


async def test_hc45_nobody_waits_for_a_redis_that_stands_still_but_one_each_few_seconds(redis: str) -> None:
    async with limited(redis, "1000/minute") as (browser, clock):
        store = browser.sigra.limits.store
        with standing_still(redis):
            await guesses(browser, 1)
            asks_meanwhile = [store._may_ask() for _ in range(50)]
            clock.tick(PAUSE)
            asks_later = [store._may_ask() for _ in range(50)]

    assert not any(asks_meanwhile)
    assert asks_later == [True, *[False] * 49]


async def test_redis_counts_again_once_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    port = servers.free_port()
    with servers.redis(port) as store:
        async with limited(store) as (browser, clock):
            kill(store)
            down = await guesses(browser, 3)
            with servers.redis(port) as again:
                # Another password: what runs there now is somebody else's, until it lets us in.
                refused_there = await guesses(browser, 1)
                clock.tick(PAUSE)
                still_down = await guesses(browser, 1)
                with client.Redis.from_url(again) as connection:
                    connection.execute_command("ACL", "SETUSER", "sigra", f">{store.split(':')[2].split('@')[0]}")
                clock.tick(PAUSE)
                up = await guesses(browser, 3)
                counted = kept(again)

    assert down == [401, 401, 429]
    assert refused_there == still_down == [429]
    assert up == [401, 401, 429]
    assert counted == 2
    told = [record.getMessage() for record in caplog.records if record.name == "sigra.limits"]
    assert [line.partition(" (")[0] for line in told] == ["Redis does not count", "Redis counts again."]


async def test_hc42_a_redis_that_is_full_or_read_only_leaves_nobody_uncounted(redis: str) -> None:
    with client.Redis.from_url(redis) as connection:
        connection.config_set("maxmemory", 1)
        async with limited(redis) as (browser, _):
            full = await guesses(browser, 3)
        connection.config_set("maxmemory", 0)
        connection.execute_command("REPLICAOF", "127.0.0.1", "1")
        async with limited(redis) as (browser, _):
            read_only = await guesses(browser, 3)
        connection.execute_command("REPLICAOF", "NO", "ONE")

    assert full == read_only == [401, 401, 429]


async def test_a_redis_that_was_emptied_and_lost_its_scripts_counts_on(redis: str) -> None:
    async with limited(redis) as (browser, _):
        await guesses(browser, 2)
        with client.Redis.from_url(redis) as connection:
            connection.flushall()
            connection.script_flush()
        outcomes = await guesses(browser, 3)

    assert outcomes == [401, 401, 429]
    assert kept(redis) == 2


async def test_hc42_without_redis_and_database_nobody_is_let_in(redis: str) -> None:
    async with limited(redis) as (browser, _):
        dialect = browser.sigra.db.dialect
        dialect._queue._patience = 0.05
        with standing_still(redis):
            async with dialect.writing():  # somebody writes, and never ends
                answers = [await browser.post("/auth/login", json=WRONG) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 503]


# Its URL


@pytest.mark.parametrize(
    "url",
    [
        "redis://ada:hunter2@127.0.0.1:port/0",
        "redis://ada:hunter2@127.0.0.1:99999/0",
        "redis://ada:hunter2@127.0.0.1/0?hunter2=1",
        "redis://ada:hunter2@[::1/0",
        "redis://ada:hun#ter2@127.0.0.1:x/0?db=hunter2",
    ],
)
def test_hc21_a_wrong_url_stops_the_start_and_is_not_told(url: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        Sigra(cheap_settings(limits={"url": url}), ["sessions"])

    assert "SIGRA_LIMITS__URL" in str(told.value)
    assert "hunter2" not in "".join(traceback.format_exception(told.value))


async def test_hc21_the_password_of_redis_is_in_no_repr_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"redis://ada:hunter2@127.0.0.1:{servers.free_port()}/0"
    async with limited(url) as (browser, _):
        await guesses(browser, 1)
        shown = repr(browser.sigra.settings) + repr(browser.sigra.limits) + repr(browser.sigra.limits.store)

    assert "hunter2" not in shown + caplog.text
    assert "Redis does not count" in caplog.text


def test_hc49_without_its_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "sigra.limits.redis", raising=False)

    with pytest.raises(ConfigurationError, match=r"SIGRA_LIMITS__URL.*sigra\[redis\]"):
        Sigra(cheap_settings(limits={"url": "redis://127.0.0.1/0"}), ["sessions"])

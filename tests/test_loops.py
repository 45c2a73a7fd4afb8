"""A database serves one event loop after another, and keeps nothing of those that have ended."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
from sqlalchemy import select

from sigra import Sigra
from sigra.db import Database
from sigra.loops import PerLoop
from sigra.plugins.sessions import Sessions
from sigra.testing import cheap_settings, create_tables


def test_each_loop_has_its_own_and_closed_ones_are_forgotten() -> None:
    abandoned: list[object] = []
    kept = PerLoop(object, abandoned.append)

    async def twice() -> tuple[object, object]:
        return kept.get(), kept.get()

    first = asyncio.run(twice())
    second = asyncio.run(twice())

    assert first[0] is first[1]
    assert first[0] is not second[0]
    assert abandoned == [first[0]]


def test_hc50_a_loop_that_goes_on_in_another_thread_is_not_taken_for_that_of_this_one() -> None:
    kept = PerLoop(asyncio.get_running_loop, lambda _: None)

    async def get() -> tuple[object, object]:
        return kept.get(), asyncio.get_running_loop()

    moved = asyncio.new_event_loop()
    moved.run_until_complete(get())
    thread = threading.Thread(target=moved.run_forever)
    thread.start()
    while not moved.is_running():
        time.sleep(0)
    here = asyncio.run(get())
    there = asyncio.run_coroutine_threadsafe(get(), moved).result()
    moved.call_soon_threadsafe(moved.stop)
    thread.join()
    moved.close()

    assert here[0] is here[1]
    assert there == (moved, moved)


# Drivers warn of a loop that ended before its connections were closed: that is the case here.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_database_serves_one_loop_after_another(database: str) -> None:
    assert serve_three_loops(database) == [2, 2, 2]

    gc.collect()


def serve_three_loops(url: str) -> list[int]:
    db = Database(url)

    async def ask() -> int:
        async with db.connect() as tx:
            read = await tx.scalar(select(1))
        written = await db.transaction(lambda tx: tx.scalar(select(1)))
        return (read or 0) + (written or 0)

    async def ask_and_end() -> int:
        answer = await ask()
        await db.aclose()
        return answer

    return [asyncio.run(ask()), asyncio.run(ask()), asyncio.run(ask_and_end())]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_look_ups_keep_nothing_of_loops_that_have_ended() -> None:
    auth = Sigra(cheap_settings())

    async def ask() -> None:
        await create_tables(auth)
        for _ in range(2):
            digests = auth.tokens.digests("session", "A" * 43)
            assert await auth.plugin(Sessions).lookup.find(auth.db, digests) is None

    async def end() -> None:
        await ask()
        await auth.aclose()

    for _ in range(3):
        asyncio.run(ask())
    kept = len(auth.db.reader._lines._kept)
    asyncio.run(end())
    gc.collect()

    assert kept == 1

"""The bounded pool: so many at once, so many in line, and places that come free."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from sigra.crypto import Pool, usable_cores
from sigra.errors import Unavailable


class Gate:
    """Work that is held until the gate opens, and remembers how much of it ran at once."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.running = self.peak = 0
        self._lock = threading.Lock()

    def work(self, result: int = 0) -> int:
        with self._lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
        self.entered.release()
        assert self.opened.wait(10)
        with self._lock:
            self.running -= 1
        return result

    async def until_entered(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.entered.acquire, timeout=10)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


async def started(pool: Pool, works: list[Callable[[], int]]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(pool.run(work)) for work in works]
    await asyncio.sleep(0)
    return tasks


def refused(tasks: list[asyncio.Task[int]]) -> int:
    return sum(task.done() and isinstance(task.exception(), Unavailable) for task in tasks)


async def test_hc44_excess_is_told_to_come_back_at_once_and_the_rest_is_served(gate: Gate) -> None:
    pool = Pool(workers=2, waiting=128)

    tasks = await started(pool, [partial(gate.work, number) for number in range(256)])
    refused_at_once = refused(tasks)
    await gate.until_entered(2)
    gate.opened.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert refused_at_once == 126
    assert [result for result in results if not isinstance(result, Unavailable)] == list(range(130))
    assert gate.peak == 2
    await pool.aclose()


async def test_hc44_refusal_says_when_to_come_back(gate: Gate) -> None:
    pool = Pool(workers=1, waiting=0)

    _, second = await started(pool, [gate.work, gate.work])

    refusal = second.exception() if second.done() else None
    assert isinstance(refusal, Unavailable)
    assert refusal.headers["retry-after"] == "5"


async def test_hc44_finished_work_frees_its_place(gate: Gate) -> None:
    pool = Pool(workers=1, waiting=0)
    gate.opened.set()

    results = [await pool.run(partial(gate.work, number)) for number in range(20)]

    assert results == list(range(20))
    await pool.aclose()


async def test_hc44_work_that_raises_frees_its_place() -> None:
    pool = Pool(workers=1, waiting=0)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)

    await pool.aclose()


async def test_hc44_cancelled_waiter_frees_its_place_and_is_never_run(gate: Gate) -> None:
    pool = Pool(workers=1, waiting=1)
    cancelled = Gate()
    cancelled.opened.set()
    first, second = await started(pool, [gate.work, cancelled.work])
    await gate.until_entered(1)

    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    (third,) = await started(pool, [partial(gate.work, 3)])
    gate.opened.set()

    assert (await first, await third) == (0, 3)
    assert cancelled.peak == 0
    await pool.aclose()


async def test_hc44_cancelled_work_that_has_begun_keeps_its_place_to_the_end(gate: Gate) -> None:
    pool = Pool(workers=1, waiting=0)
    (first,) = await started(pool, [gate.work])
    await gate.until_entered(1)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert refused(await started(pool, [gate.work])) == 1


async def test_hc44_thread_that_cannot_start_is_unavailable_and_costs_no_place(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    pool = Pool(workers=1, waiting=0)
    gate.opened.set()

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(Unavailable):
            await pool.run(gate.work)

    assert await pool.run(partial(gate.work, 7)) == 7
    await pool.aclose()


def test_one_pool_serves_several_event_loops_one_after_another() -> None:
    pool = Pool(workers=1, waiting=8)

    async def burst() -> list[int]:
        return await asyncio.gather(*[pool.run(partial(int, number)) for number in range(8)])

    results = [asyncio.run(burst()) for _ in range(3)]

    assert results == [list(range(8))] * 3
    asyncio.run(pool.aclose())


def test_loop_that_ends_in_the_middle_leaves_the_next_one_a_working_pool(gate: Gate) -> None:
    pool = Pool(workers=1, waiting=1)

    async def leave() -> None:
        await started(pool, [gate.work, gate.work])

    asyncio.run(leave())
    gate.opened.set()
    asyncio.run(pool.aclose())

    assert asyncio.run(pool.run(partial(gate.work, 7))) == 7
    asyncio.run(pool.aclose())


async def test_closing_lets_finish_what_is_in_line_and_ends_the_threads(gate: Gate) -> None:
    before = set(threading.enumerate())
    pool = Pool(workers=1, waiting=2)
    tasks = await started(pool, [partial(gate.work, number) for number in range(3)])

    closing = asyncio.create_task(pool.aclose())
    await gate.until_entered(1)
    closed_early = closing.done()
    gate.opened.set()
    await closing

    assert not closed_early
    assert await asyncio.gather(*tasks) == [0, 1, 2]
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("sigra-hash")]


async def test_closed_pool_works_again_and_closes_twice(gate: Gate) -> None:
    pool = Pool(workers=1, waiting=0)
    gate.opened.set()

    await pool.aclose()
    await pool.aclose()

    assert await pool.run(partial(gate.work, 7)) == 7
    await pool.aclose()


def test_usable_cores_is_at_least_one() -> None:
    assert usable_cores() >= 1

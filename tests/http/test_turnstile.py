"""A crowd goes through one by one, and the loop is free in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from sigra.http.turnstile import Turnstile


class Turns:
    """Counts the turns of the loop while it is entered."""

    def __init__(self) -> None:
        self.now = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._count())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _count(self) -> None:
        while True:
            self.now += 1
            await asyncio.sleep(0)


async def passed(count: int, leaving: Callable[[list[asyncio.Task[None]]], object] = lambda _: None) -> dict[int, int]:
    """In which turn each of so many who come together went through."""
    turnstile, at = Turnstile(), dict[int, int]()

    async def come(who: int) -> None:
        await turnstile.pass_through()
        at[who] = turns.now

    async with Turns() as turns:
        tasks = [asyncio.create_task(come(who)) for who in range(count)]
        await asyncio.sleep(0)
        leaving(tasks)
        await asyncio.wait(tasks)
    return at


async def test_hc44_a_crowd_passes_one_a_turn_in_its_order() -> None:
    at = await passed(100)

    assert len({*at.values()}) == 100
    assert [*at] == [*range(100)]
    assert at[99] - at[1] == 98  # and no turn is left out


async def test_who_comes_alone_does_not_wait() -> None:
    turnstile = Turnstile()
    async with Turns() as turns:
        for _ in range(3):
            before = turns.now
            await turnstile.pass_through()
            assert turns.now == before
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def test_who_is_cancelled_keeps_nobody_back() -> None:
    at = await passed(10, lambda tasks: [task.cancel() for task in tasks[2:8]])

    assert [*at] == [0, 1, 8, 9]


async def test_when_all_who_waited_are_gone_the_next_passes_at_once() -> None:
    turnstile = Turnstile()
    tasks = [asyncio.create_task(turnstile.pass_through()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for _ in range(3):
        await asyncio.sleep(0)

    await alone(turnstile.pass_through())


async def alone(coroutine: Awaitable[None]) -> None:
    """Fail when it has to wait."""
    step = coroutine.__await__()
    try:
        next(step)
    except StopIteration:
        return
    raise AssertionError("it waits")


def test_each_loop_has_its_own() -> None:
    turnstile = Turnstile()

    async def crowd() -> None:
        await asyncio.gather(*(turnstile.pass_through() for _ in range(3)))

    for _ in range(2):
        with asyncio.Runner() as runner:
            runner.run(crowd())

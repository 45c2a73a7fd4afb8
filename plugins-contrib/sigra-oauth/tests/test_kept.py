"""What is fetched when it is needed, and kept: by everybody at once, by one loop after the other, and when it fails."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sigra.testing import FrozenClock
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable
from sigra_oauth.kept import Kept

HOUR = timedelta(hours=1)


class Source:
    """Counts; fails as long as it has a failure."""

    def __init__(self) -> None:
        self.fetched, self.failure = 0, None
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> tuple[int]:
        self.fetched += 1
        number = self.fetched
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return (number,)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def kept(source: Source, clock: FrozenClock) -> Kept:
    return Kept(source.fetch, clock, HOUR)


async def test_it_is_fetched_when_it_is_needed_and_kept_for_an_hour(
    kept: Kept, source: Source, clock: FrozenClock
) -> None:
    before = source.fetched
    told = [await kept.get(), await kept.get()]
    clock.tick(HOUR - timedelta(seconds=1))
    told.append(await kept.get())
    clock.tick()
    told.append(await kept.get())

    assert before == 0
    assert told == [(1,), (1,), (1,), (2,)]


async def test_hc30_many_at_once_are_one_fetch(kept: Kept, source: Source) -> None:
    source.gate = asyncio.Event()
    asking = [asyncio.create_task(kept.get()) for _ in range(50)]
    await asyncio.sleep(0)
    source.gate.set()

    assert await asyncio.gather(*asking) == [(1,)] * 50
    assert source.fetched == 1


async def test_who_goes_away_takes_nobody_along(kept: Kept, source: Source) -> None:
    source.gate = asyncio.Event()
    first, second = (asyncio.create_task(kept.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()

    assert await second == (2,)
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize("failure", [OAuthFailed("not so"), OAuthUnavailable("not now")])
async def test_a_failure_is_kept_for_ten_seconds(
    kept: Kept, source: Source, clock: FrozenClock, failure: OAuthFailed | OAuthUnavailable
) -> None:
    source.failure = failure
    for _ in range(3):
        with pytest.raises(type(failure)) as raised:
            await kept.get()
        assert raised.value.reason == failure.reason
        assert raised.value is not failure
    source.failure = None
    clock.tick(timedelta(seconds=9))
    with pytest.raises(type(failure)):
        await kept.get()
    during = source.fetched
    clock.tick()

    assert await kept.get() == (2,)
    assert during == 1


async def test_hc30_what_does_not_do_is_fetched_again_at_most_once_a_minute(
    kept: Kept, source: Source, clock: FrozenClock
) -> None:
    first = await kept.get()
    second = await kept.hurry(first)
    third = await kept.hurry(second)
    clock.tick(timedelta(seconds=59))
    fourth = await kept.hurry(third)
    clock.tick()
    fifth = await kept.hurry(fourth)

    assert [first, second, third, fourth, fifth] == [(1,), (2,), (2,), (2,), (3,)]
    assert source.fetched == 3


async def test_hc30_many_that_it_does_not_do_for_are_one_fetch(kept: Kept, source: Source) -> None:
    held = await kept.get()
    told = await asyncio.gather(*(kept.hurry(held) for _ in range(50)))

    assert told == [(2,)] * 50


async def test_a_hurried_fetch_that_fails_leaves_what_there_was(kept: Kept, source: Source) -> None:
    held = await kept.get()
    source.failure = OAuthUnavailable("not now")
    with pytest.raises(OAuthUnavailable):
        await kept.hurry(held)

    assert await kept.get() is held


def test_one_loop_after_the_other_is_served(kept: Kept) -> None:
    async def everybody() -> list[tuple[int]]:
        return await asyncio.gather(*(kept.get() for _ in range(5)))

    assert [asyncio.run(everybody()) for _ in range(2)] == [[(1,)] * 5] * 2

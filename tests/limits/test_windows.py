"""Moving windows, and the memory that keeps them."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sigra.limits.stores import CLEANING, MemoryStore
from sigra.limits.windows import SECOND, Window, take, ticks
from sigra.testing import FrozenClock

TWO_A_MINUTE = Window(b"client", 2, 60)
NOW = ticks(FrozenClock()())


def test_a_place_is_taken_until_there_is_none() -> None:
    first = take([TWO_A_MINUTE], [[]], NOW)
    second = take([TWO_A_MINUTE], first.taken, NOW + SECOND)
    third = take([TWO_A_MINUTE], second.taken, NOW + 2 * SECOND)

    assert (first.wait, second.wait, third.wait) == (None, None, 58)
    assert third.taken == []


def test_nothing_is_taken_behind_a_window_that_is_full() -> None:
    other = Window(b"account", 5, 60)
    counted = take([other, TWO_A_MINUTE, other], [[NOW], [NOW, NOW], []], NOW)

    assert counted.taken == [[NOW, NOW]]


def test_what_is_told_to_wait_is_the_longest_of_what_is_full() -> None:
    hour = Window(b"account", 1, 3600)

    assert take([TWO_A_MINUTE, hour], [[NOW, NOW], [NOW]], NOW).wait == 3600


@given(st.lists(st.integers(0, 100 * SECOND), max_size=12), st.integers(1, 5), st.integers(1, 60))
def test_hc42_who_waits_as_long_as_was_told_gets_a_place_and_no_second_sooner(
    steps: list[int], amount: int, seconds: int
) -> None:
    window, now, taken = Window(b"", amount, seconds), NOW, [[]]
    for step in steps:
        now += step
        counted = take([window], taken, now)
        if counted.wait is None:
            taken = counted.taken
            assert len(window.within(taken[0], now)) <= amount
            continue
        assert 1 <= counted.wait <= seconds
        assert take([window], taken, now + counted.wait * SECOND).wait is None
        assert take([window], taken, now + (counted.wait - 1) * SECOND).wait is not None


def test_a_clock_that_was_set_back_shuts_nobody_out_for_longer_than_two_windows() -> None:
    far, near = NOW + 3600 * SECOND, NOW + 30 * SECOND

    assert take([TWO_A_MINUTE], [[far, far]], NOW).wait is None
    assert take([TWO_A_MINUTE], [[near, near]], NOW).wait == 90


async def test_the_memory_forgets_windows_that_are_over() -> None:
    clock = FrozenClock()
    store = MemoryStore(clock)
    for number in range(100):
        await store.take([Window(bytes([number]), 1, 30)])
    clock.tick(CLEANING + timedelta(seconds=1))
    await store.take([Window(b"another", 1, 30)])

    assert len(store._taken) == 1


async def test_the_memory_counts_by_the_clock_of_the_installation() -> None:
    clock = FrozenClock()
    store = MemoryStore(clock)
    outcomes = [await store.take([TWO_A_MINUTE]) for _ in range(3)]
    clock.tick(timedelta(seconds=60))

    assert outcomes == [None, None, 60]
    assert await store.take([TWO_A_MINUTE]) is None

"""The rule apart from any storage: how many tries, how long a lock, when all is forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from sigra.testing import FrozenClock
from sigra_lockout import Lockout
from sigra_lockout.counting import QUIET, Count, Rule

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RULE = Rule(5, 15 * MINUTE, 24 * HOUR)


def fresh(clock: FrozenClock) -> Count:
    return Count(0, 0, None, clock() + QUIET)


def locked(count: Count, clock: FrozenClock) -> Count:
    """After as many tries as lock it."""
    while not count.is_locked(clock()):
        count = RULE.after(count, clock())
    return count


def test_the_fifth_try_locks() -> None:
    clock = FrozenClock()
    count = fresh(clock)
    for _ in range(4):
        count = RULE.after(count, clock())

    assert not count.is_locked(clock())
    assert RULE.after(count, clock()).locked_until == clock() + 15 * MINUTE


def test_hc40_locks_in_a_row_are_twice_as_long_and_never_for_good() -> None:
    clock, lengths = FrozenClock(), []
    count = fresh(clock)
    for _ in range(60):
        count = locked(count, clock)
        assert count.locked_until is not None
        lengths.append(count.locked_until - clock())
        clock.now = count.locked_until

    assert lengths[:8] == [15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, 24 * HOUR]
    assert set(lengths[8:]) == {24 * HOUR}


def test_hc40_a_lock_of_a_clock_that_was_ahead_keeps_nobody_out() -> None:
    clock = FrozenClock()
    count = locked(fresh(clock), clock)
    clock.tick(-timedelta(days=365))

    assert not count.is_locked(clock())
    assert RULE.after(count, clock()).failures == 1


def test_a_lock_is_over_at_its_end_and_five_more_tries_are_open() -> None:
    clock = FrozenClock()
    count = locked(fresh(clock), clock)
    clock.tick(15 * MINUTE)

    assert not count.is_locked(clock())
    assert RULE.after(count, clock()).failures == 1


def test_a_quiet_day_after_a_lock_begins_anew() -> None:
    clock = FrozenClock()
    count = locked(locked(fresh(clock), clock), clock)
    clock.now = count.expires_at
    again = locked(count, clock)

    assert again.locked_until == clock() + 15 * MINUTE


def test_a_day_that_is_not_quiet_does_not() -> None:
    clock = FrozenClock()
    count = locked(fresh(clock), clock)
    clock.now = count.expires_at - MINUTE
    again = locked(count, clock)

    assert again.locked_until == clock() + 30 * MINUTE


def test_tries_are_forgotten_after_a_quiet_day() -> None:
    clock = FrozenClock()
    count = RULE.after(RULE.after(fresh(clock), clock()), clock())
    clock.tick(QUIET)

    assert RULE.after(count, clock()).failures == 1


def test_a_try_that_was_right_counts_no_more_and_lifts_the_lock_that_it_brought_on() -> None:
    clock = FrozenClock()
    count = locked(fresh(clock), clock)
    lifted = RULE.without(count, clock())

    assert (lifted.failures, lifted.locks, lifted.is_locked(clock())) == (4, 0, False)
    assert RULE.after(lifted, clock()).locked_until == clock() + 15 * MINUTE


def test_a_right_try_leaves_a_lock_that_is_over_as_it_was() -> None:
    """The next try begins anew, and what was given back must not be taken from it."""
    clock = FrozenClock()
    count = locked(fresh(clock), clock)
    clock.tick(15 * MINUTE)

    assert RULE.without(count, clock()) == count


def test_nothing_is_less_than_no_try() -> None:
    """Whoever was told of a lock has ended it while the right try was looked at."""
    clock = FrozenClock()

    assert RULE.without(fresh(clock), clock()) == fresh(clock)


@pytest.mark.parametrize(
    "options", [{"failures": 0}, {"failures": 101}, {"first": 59}, {"longest": 86_401}, {"first": 3600, "longest": 60}]
)
def test_hc49_options_that_would_not_protect_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Lockout(**options)

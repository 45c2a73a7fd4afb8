"""A moving window: the times at which something was done, and whether it may be done once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime.fromtimestamp(0, UTC)
TICK = timedelta(microseconds=1)
SECOND = 1_000_000
"""Times are whole microseconds: exact, and the same after every detour by a database."""


def ticks(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // TICK


@dataclass(frozen=True, slots=True)
class Window:
    """How many places there are for one subject in any stretch of time of that length.

    Args:
        key: A keyed digest of limit and subject.
        amount: Places.
        seconds: The length.
    """

    key: bytes
    amount: int
    seconds: int

    @property
    def length(self) -> timedelta:
        """The length, as an interval."""
        return timedelta(seconds=self.seconds)

    def within(self, taken: Iterable[int], now: int) -> list[int]:
        """The times that count now, in order; none that a clock which was set back has left far in the future."""
        return sorted(at for at in taken if abs(now - at) < self.seconds * SECOND)

    def wait(self, within: Sequence[int], now: int) -> int:
        """Whole seconds until a place is free, at least 1; 0 when one is free."""
        if len(within) < self.amount:
            return 0
        return -(-(within[-self.amount] + self.seconds * SECOND - now) // SECOND)


@dataclass(frozen=True, slots=True)
class Counted:
    """What taking places came to.

    Args:
        taken: The times to keep, of each window in which a place was taken; those are the first.
        wait: Whole seconds until all windows have a place; None when all had one.
    """

    taken: Sequence[list[int]]
    wait: int | None


def take(windows: Sequence[Window], taken: Sequence[Iterable[int]], now: int) -> Counted:
    """Take a place in each window up to the first that has none.

    Args:
        taken: The times that are kept, of each window.
    """
    within = [window.within(at, now) for window, at in zip(windows, taken, strict=True)]
    waits = [window.wait(at, now) for window, at in zip(windows, within, strict=True)]
    free = next((place for place, wait in enumerate(waits) if wait), len(windows))
    return Counted([[*at, now] for at in within[:free]], max(waits) or None)

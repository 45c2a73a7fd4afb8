"""The rule itself, apart from any storage: what one more try makes of the tries so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

QUIET = timedelta(days=1)
"""After so long without a try that was looked at, and without a lock, all is forgotten."""

LONGEST = timedelta(days=1)
"""No lock can be set to be longer."""


@dataclass(frozen=True, slots=True)
class Count:
    """The tries of one subject.

    Args:
        failures: Tries since the last sign-in or lock, each counted before it is known to be wrong, but what was taken
            back as right.
        locks: How often it was locked in a row.
        locked_until: When the last lock ends or ended; None when it was ended earlier, or there was none.
        expires_at: When all of it is forgotten.
    """

    failures: int
    locks: int
    locked_until: datetime | None
    expires_at: datetime

    def is_locked(self, now: datetime) -> bool:
        """Whether it is; a lock that ends too far ahead is of a clock that was wrong, and would keep its owner out."""
        return self.locked_until is not None and now < self.locked_until <= now + LONGEST


@dataclass(frozen=True, slots=True)
class Rule:
    """When a subject is locked, and for how long.

    Args:
        failures: The try that locks it, unless it is right.
        first: How long the first lock is; each further one in a row is twice as long.
        longest: No lock is longer: nobody is kept out for good (hard case 40).
    """

    failures: int
    first: timedelta
    longest: timedelta

    def after(self, count: Count, now: datetime) -> Count:
        """The count with one more try, which is not made while it is locked."""
        if now >= count.expires_at:
            count = replace(count, failures=0, locks=0, locked_until=None)
        if count.locked_until is not None:
            count = replace(count, failures=0, locked_until=None)
        failures = count.failures + 1
        if failures < self.failures:
            return replace(count, failures=failures, expires_at=now + QUIET)
        until = now + self.length(count.locks)
        return Count(failures, count.locks + 1, until, until + QUIET)

    def without(self, count: Count, now: datetime) -> Count:
        """The count without a try that was right; a lock that it has brought on is lifted."""
        if count.locked_until is not None and not count.is_locked(now):
            return count  # over, and its tries with it
        failures, locks = max(0, count.failures - 1), count.locks - count.is_locked(now)
        return replace(count, failures=failures, locks=locks, locked_until=None)

    def length(self, locks: int) -> timedelta:
        """How long a lock is after so many in a row."""
        length = self.first
        for _ in range(locks):
            if length >= self.longest:
                break
            length *= 2
        return min(length, self.longest)

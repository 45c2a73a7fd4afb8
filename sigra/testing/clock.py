"""A clock that stands still until a test moves it, so that no test ever sleeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FrozenClock:
    """What `Sigra(…, clock=…)` takes: call it for the time.

    Args:
        now: Aware; where it stands.
    """

    def __init__(self, now: datetime = START) -> None:
        if now.utcoffset() is None:
            raise ValueError("a clock needs a time with a zone")
        self.now = now.astimezone(UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, by: timedelta = timedelta(seconds=1)) -> datetime:
        """Move on, and return the new time."""
        self.now += by
        return self.now

"""Where counts are kept: in the application's own database, in Redis, or in this process alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sigra.errors import ConfigurationError
from sigra.limits.database import DatabaseStore
from sigra.limits.windows import Window, take, ticks

CLEANING = timedelta(minutes=1)
"""How often windows that are over leave the memory, at most."""


class Store(Protocol):
    """Takes places in moving windows, or says when the next one is free; atomic over all who share the store."""

    async def take(self, windows: Sequence[Window]) -> int | None:
        """Take a place in each window, one after another.

        Returns:
            None when there was a place in all; else the whole seconds, at least 1, until there is. What was taken
            before the first that is full stays taken, and nothing is taken after it.

        Raises:
            Unavailable: It cannot count now; nobody is let in uncounted.
        """
        ...

    async def serves(self) -> bool:
        """Whether counts are kept where they should be."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class MemoryStore:
    """Counts of this process alone."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._taken: dict[bytes, tuple[list[int], datetime]] = {}
        self._cleaned = clock()

    async def take(self, windows: Sequence[Window]) -> int | None:
        """See `Store.take`; nothing else runs meanwhile, since nothing is waited for."""
        at = self._clock()
        if not timedelta(0) <= at - self._cleaned < CLEANING:
            self._clean(at)
        counted = take(windows, [self._taken.get(window.key, ([], at))[0] for window in windows], ticks(at))
        for window, taken in zip(windows, counted.taken, strict=False):
            self._taken[window.key] = taken, at + window.length
        return counted.wait

    def _clean(self, at: datetime) -> None:
        self._taken = {key: kept for key, kept in self._taken.items() if kept[1] > at}
        self._cleaned = at

    async def serves(self) -> bool:
        """It is all here."""
        return True

    async def aclose(self) -> None:
        """Nothing is open."""


def open_store(url: str, counts: DatabaseStore, clock: Callable[[], datetime]) -> Store:
    """The store of `SIGRA_LIMITS__URL`, whose form the settings have checked.

    Args:
        counts: The application's own database: the usual store, and the one that takes over.

    Raises:
        ConfigurationError: Redis is wanted and its package is not installed, or the URL is wrong.
    """
    if url == "database:":
        return counts
    if url == "memory:":
        return MemoryStore(clock)
    try:
        # Brings a client that most installations do without.
        from sigra.limits.redis import RedisStore  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "SIGRA_LIMITS__URL wants Redis, whose client is not installed: install sigra[redis]."
        ) from error
    return RedisStore(url, counts, clock)

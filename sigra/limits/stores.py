"""Where counts are kept: in the application's own database, in Redis, or in this process alone."""

from __future__ import annotations

import math
import time
from typing import Protocol

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from sigra.limits.database import DatabaseStore


class Store(Protocol):
    """Takes a place in a moving window, or says when the next one is free; atomic over all who share the store."""

    async def take(self, key: str, rate: RateLimitItem) -> float | None:
        """None when there was a place, else the seconds until there is one."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class MemoryStore:
    """Counts of this process alone."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def take(self, key: str, rate: RateLimitItem) -> float | None:
        if await self._limiter.hit(rate, key):
            return None
        stats = await self._limiter.get_window_stats(rate, key)
        return max(0.0, math.ceil(stats.reset_time - time.time()))

    async def aclose(self) -> None:
        """Nothing is open."""


def open_store(url: str, counts: DatabaseStore) -> Store:
    """The store of `SIGRA_LIMITS__URL`, whose form the settings have checked.

    Args:
        counts: The application's own database, which is the usual one.
    """
    return MemoryStore() if url == "memory:" else counts

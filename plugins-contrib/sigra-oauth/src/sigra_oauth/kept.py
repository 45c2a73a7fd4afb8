"""A value that is fetched when it is needed and kept for a while, with one fetch in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from sigra_oauth.errors import OAuthFailed, OAuthUnavailable

T = TypeVar("T")

PATIENCE = timedelta(seconds=10)
"""How long a failure is answered from memory, so that a provider that is down is not asked by everybody."""

APART = timedelta(minutes=1)
"""Between two fetches that are made before their time."""


class Kept(Generic[T]):
    """One fetched value.

    Args:
        fetch: Fetches it; raises `OAuthFailed` or `OAuthUnavailable`.
        clock: UTC.
        lifetime: How long it is good.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Callable[[], datetime], lifetime: timedelta) -> None:
        self._fetch, self._clock, self._lifetime = fetch, clock, lifetime
        self._held: tuple[T, datetime] | None = None
        self._failed: tuple[OAuthFailed | OAuthUnavailable, datetime] | None = None
        self._hurried_at: datetime | None = None
        # A lock belongs to the loop in which somebody first waited for it.
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def get(self) -> T:
        """The value.

        Raises:
            OAuthFailed: What is fetched cannot be trusted.
            OAuthUnavailable: It cannot be fetched now.
        """
        if self._is_good():
            return self._value
        async with self._lock():
            # Whoever waited finds what was fetched meanwhile.
            return self._value if self._is_good() else await self._fetched()

    async def hurry(self, held: T) -> T:
        """A newer one than `held` where it does not do; at most one fetch a minute is made for that."""
        async with self._lock():
            if self._held is None or self._held[0] is not held:
                return self._value if self._is_good() else await self._fetched()
            now = self._clock()
            if self._hurried_at is not None and now - self._hurried_at < APART:
                return held
            self._hurried_at = now
            return await self._fetched()

    @property
    def last(self) -> T | None:
        """The value as it was fetched last, however long ago; fetches nothing."""
        return None if self._held is None else self._held[0]

    def _lock(self) -> asyncio.Lock:
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    @property
    def _value(self) -> T:
        assert self._held is not None
        return self._held[0]

    def _is_good(self) -> bool:
        return self._held is not None and self._clock() - self._held[1] < self._lifetime

    async def _fetched(self) -> T:
        if self._failed is not None and self._clock() - self._failed[1] < PATIENCE:
            raise _again(self._failed[0])
        try:
            value = await self._fetch()
        except (OAuthFailed, OAuthUnavailable) as error:
            self._failed = (error, self._clock())
            raise _again(error) from None
        self._held, self._failed = (value, self._clock()), None
        return value


def _again(error: OAuthFailed | OAuthUnavailable) -> OAuthFailed | OAuthUnavailable:
    """The same once more: one error that is raised to many would gather all their tracebacks."""
    return type(error)(error.reason)

"""Counts in Redis; in the application's own database for as long as Redis does not serve."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from limits.aio.storage import RedisStorage
from limits.errors import ConfigurationError as StorageError
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from sigra.errors import ConfigurationError, Unavailable
from sigra.limits.database import DatabaseStore
from sigra.limits.windows import Window
from sigra.loops import PerLoop

_log = logging.getLogger("sigra.limits")

PATIENCE = 1.0
"""Seconds that a request waits for Redis, all in all."""

PAUSE = timedelta(seconds=5)
"""How long a Redis that did not serve is left alone; then one request looks at it again."""

CONNECTIONS = 32
"""At most, a process and event loop; who finds none free waits for one, within its patience."""

PREFIX = "sigra-limits"


class RedisStore:
    """Moving windows in Redis, each taken by one atomic script.

    A Redis that is down, full or read-only makes nobody uncounted: the database counts meanwhile, for all workers
    together, from nothing at first, so that an outage gives away at most one more window. Who only waits too long for a
    Redis that answers others is told to come back: a crowd is no outage, and must not get that second window.

    Args:
        url: `redis://` or `rediss://`; never shown, since it may hold a password.
        instead: Counts while Redis does not.

    Raises:
        ConfigurationError: The URL is none that the client understands.
    """

    def __init__(self, url: str, instead: DatabaseStore, clock: Callable[[], datetime]) -> None:
        self._instead, self._clock = instead, clock
        self._opened = PerLoop(lambda: _Opened(url), _abandon)
        self._look_again: datetime | None = None
        _check(url)

    async def take(self, windows: Sequence[Window]) -> int | None:
        """See `Store.take`.

        Raises:
            Unavailable: Redis answers, but not this one in time; or neither it nor the database can count.
        """
        down = self._look_again is not None
        if not self._may_ask():
            return await self._instead.take(windows)
        try:
            async with asyncio.timeout(PATIENCE):
                wait = await _take(self._opened.get().storage, windows)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, (RedisTimeout, TimeoutError)) and await self.serves():
                raise Unavailable from None
            self._left(error)
            return await self._instead.take(windows)
        if down:
            self._came_back()
        return wait

    async def serves(self) -> bool:
        """Whether Redis answers."""
        return await self._opened.get().answers()

    async def aclose(self) -> None:
        """Close the running loop's connections; a later use opens new ones."""
        opened = self._opened.pop()
        if opened is not None:
            await opened.pool.aclose()

    def _may_ask(self) -> bool:
        """Whether a request asks Redis: while it is down, one each few seconds does, and no other waits with it."""
        now = self._clock()
        if self._look_again is None:
            return True
        # A clock that was set back does not prolong it.
        if self._look_again - PAUSE <= now < self._look_again:
            return False
        self._look_again = now + PAUSE
        return True

    def _left(self, error: Exception) -> None:
        if self._look_again is None:
            # Not its text: nobody knows what of the URL is in it.
            _log.warning("Redis does not count (%s): limits are counted in the database.", type(error).__name__)
        self._look_again = self._clock() + PAUSE

    def _came_back(self) -> None:
        self._look_again = None
        _log.warning("Redis counts again.")


class _Opened:
    """What one event loop has of Redis."""

    asking: asyncio.Task[bool] | None = None

    def __init__(self, url: str) -> None:
        self.pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=None,  # who waits for one ends by its own patience: having none free is no lost connection
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            # Once: a connection may have been closed by the other side while it idled.
            retry=Retry(NoBackoff(), 1),
        )
        given: dict[str, Any] = {"connection_pool": self.pool}
        self.storage = RedisStorage(f"async+{url}", implementation="redispy", key_prefix=PREFIX, **given)

    async def answers(self) -> bool:
        """Whether Redis answers at all, past all who wait for a connection; asked once for those who ask at once."""
        if self.asking is None or self.asking.done():
            self.asking = asyncio.create_task(self._ping())
        # One who leaves ends it for nobody else.
        return await asyncio.shield(self.asking)

    async def _ping(self) -> bool:
        connection: Any = self.pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.connect()
                await connection.send_command("PING")
                return bool(await connection.read_response())
        except (RedisError, OSError, TimeoutError):
            return False
        finally:
            await connection.disconnect(nowait=True)


async def _take(storage: RedisStorage, windows: Sequence[Window]) -> int | None:
    for place, window in enumerate(windows):
        if not await storage.acquire_entry(window.key.hex(), window.amount, window.seconds):
            return max(1, *[await _wait(storage, one) for one in windows[place:]])
    return None


async def _wait(storage: RedisStorage, window: Window) -> int:
    oldest, count = await storage.get_moving_window(window.key.hex(), window.amount, window.seconds)
    if count < window.amount:
        return 0
    # At the very end of a window the script refuses still, and it rounds to a tenth of a millisecond.
    return math.floor(oldest + window.seconds - time.time() + 0.001) + 1


def _check(url: str) -> None:
    """Make what a first request would make, so that a mistake in the URL stops the start and not the sign-ins."""
    try:
        _Opened(url).pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, AttributeError, RedisError, StorageError):
        # Without the cause, whose text may have part of the URL.
        raise ConfigurationError(
            "SIGRA_LIMITS__URL is no URL of a Redis: write it as in redis://user:password@host:6379/0."
        ) from None


def _abandon(opened: _Opened) -> None:
    """Nothing of a closed loop can be awaited; its connections end with it."""

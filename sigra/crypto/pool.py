"""Slow work in threads, so many at once and so many in line: a flood of it fills neither memory nor event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, Semaphore
from typing import TypeVar

from sigra.errors import Unavailable

T = TypeVar("T")


def usable_cores() -> int:
    """Cores that this process may run on, which in a container are fewer than the machine has."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pool:
    """Runs work that releases the GIL; bound to no event loop.

    Args:
        workers: What runs at once, at most.
        waiting: What waits behind it, at most.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self._workers = workers
        self._places = Semaphore(workers + waiting)
        self._lock = Lock()
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work()` in a thread.

        Cancelled while it waits, it gives its place free; work that has begun keeps it to the end.

        Raises:
            Unavailable: Every place is taken, or no thread can be started.
        """
        if not self._places.acquire(blocking=False):
            raise Unavailable
        try:
            future = self._submit(work)
        except RuntimeError as error:
            self._places.release()
            raise Unavailable from error
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    async def aclose(self) -> None:
        """Let finish what is in line, and end the threads; the next `run` starts them again."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix="sigra-hash")
            return self._executor.submit(work)

"""A fair queue of those who write one SQLite file, in the process and between processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sigra.errors import Unavailable

POLL = 0.001
"""Seconds between two looks at a file lock: `flock` cannot wait without a thread, nor give up after a time with one."""


class WriterQueue:
    """One writer at a time, first come, first served.

    Between processes a writer first takes the lock `-next`, and with it waits for the lock `-writer`: so a process that
    writes all the time cannot take its next turn before the one that waits has had its own. Both files stay empty and
    lie beside the database (never the database itself: closing it would drop SQLite's own locks, see
    sqlite.org/howtocorrupt.html, section 2.2).

    Args:
        database: The database's file.
        patience: Seconds to wait for a turn.
    """

    def __init__(self, database: Path, patience: float) -> None:
        self._next = Path(f"{database}-next")
        self._writer = Path(f"{database}-writer")
        self._patience = patience
        self._turns = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn, and have it for the length of the block.

        Raises:
            Unavailable: It did not come in time.
        """
        held = await self._take()
        try:
            yield
        finally:
            _release(held)
            self._turns.release()

    async def _take(self) -> int:
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
                try:
                    return await self._take_between_processes()
                except BaseException:
                    self._turns.release()
                    raise
        except TimeoutError as error:
            raise Unavailable(1) from error

    async def _take_between_processes(self) -> int:
        gate = await _locked(self._next)
        try:
            return await _locked(self._writer)
        finally:
            _release(gate)


async def _locked(path: Path) -> int:
    """The open file, once it is ours alone (flock(2)); each opening has a lock of its own, in one process too."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
    try:
        while not _try_lock(file):  # noqa: ASYNC110  another process tells no event
            await asyncio.sleep(POLL)
    except BaseException:
        os.close(file)
        raise
    return file


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _release(file: int) -> None:
    # A child that was forked meanwhile has the file open too: closing ours alone would leave the lock with it.
    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)

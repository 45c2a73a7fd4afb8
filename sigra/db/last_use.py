"""When a credential was last used: noted in passing, written in batches, never in the way of an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Table, bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.engine import Database
from sigra.errors import Unavailable

INTERVAL = 300.0
"""Seconds: a row is written at most this often."""

GATHERING = 1.0
"""Seconds in which the uses of one batch gather."""

_log = logging.getLogger("sigra")


class LastUse:
    """Keeps `last_used_at` of a table with an `id`.

    Args:
        table: With the columns `id` and `last_used_at`.
    """

    def __init__(self, table: Table) -> None:
        later = table.c.last_used_at.is_(None) | (table.c.last_used_at < bindparam("at"))
        self._statement = (
            update(table).where(table.c.id == bindparam("row"), later).values(last_used_at=bindparam("at"))
        )
        self._noted: dict[Any, datetime] = {}
        self._wake = asyncio.Event()

    def note(self, id: Any, unused: float | None, clock: Callable[[], datetime], within: float | None = None) -> None:
        """A row is used.

        Args:
            id: Its primary key.
            unused: Seconds since its `last_used_at`; None for none.
            within: Seconds after which an unused row ends: the shorter, the sooner its use is written.
        """
        if unused is None or unused >= (INTERVAL if within is None else min(INTERVAL, within / 4)):
            self._noted[id] = clock()
            self._wake.set()

    async def flush(self, db: Database) -> None:
        """Write what was noted, in one transaction."""
        if not self._noted:
            return
        noted, self._noted = self._noted, {}
        rows = [{"row": id, "at": at} for id, at in noted.items()]

        async def write(tx: AsyncConnection) -> None:
            await tx.execute(self._statement, rows)

        try:
            await db.transaction(write)
        except Unavailable:
            self._noted = noted | self._noted
            raise

    @asynccontextmanager
    async def writing(self, db: Database) -> AsyncIterator[None]:
        """Write now and then while open, and once more at the end."""
        self._wake = asyncio.Event()
        task = asyncio.create_task(self._write_on(db))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._flush_or_log(db)

    async def _write_on(self, db: Database) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHERING)
            self._wake.clear()
            await self._flush_or_log(db)

    async def _flush_or_log(self, db: Database) -> None:
        try:
            await self.flush(db)
        except Unavailable:
            _log.warning("last uses could not be written; they are tried again with the next")

"""When a credential was last used: noted in passing, written in batches, never in the way of an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.engine import Database
from sigra.errors import Unavailable

INTERVAL = timedelta(minutes=5)
"""A row is written at most this often."""

GATHERING = 1.0
"""Seconds in which the uses of one batch gather."""

_log = logging.getLogger("sigra")


@lru_cache(maxsize=256)
def _interval(within: timedelta) -> timedelta:
    return min(INTERVAL, within / 4)


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

    def note(self, row: Mapping[str, Any], now: datetime, within: timedelta | None = None) -> None:
        """The row was used.

        Args:
            within: The age at which an unused row ends: the shorter it is, the sooner its use is written.
        """
        interval = INTERVAL if within is None else _interval(within)
        last = row["last_used_at"]
        if last is None or now - last >= interval:
            self._noted[row["id"]] = now
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

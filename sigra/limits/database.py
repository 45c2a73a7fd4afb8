"""Counts in the application's own database: one row a subject and rule, with the times of what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.batches import BATCH
from sigra.db.engine import Database
from sigra.limits.windows import Window, take, ticks


class DatabaseStore:
    """Moving windows as rows; who counts holds the row, so that all workers together never pass a limit.

    Args:
        table: `sigra_limits`.
    """

    def __init__(self, db: Database, table: Table, clock: Callable[[], datetime]) -> None:
        self._db, self._table, self._clock = db, table, clock
        new = {name: bindparam(name, type_=table.c[name].type) for name in ("taken", "expires_at")}
        self._write = update(table).where(table.c.id == bindparam("key", type_=table.c.id.type)).values(new)

    async def take(self, windows: Sequence[Window]) -> int | None:
        """Take a place in each window, in one transaction; see `Store.take`.

        Raises:
            Unavailable: The database cannot serve: nobody is let in uncounted.
        """
        return await self._db.transaction(partial(self._take, windows=windows))

    async def _take(self, tx: AsyncConnection, windows: Sequence[Window]) -> int | None:
        empty = {"taken": {"at": []}, "expires_at": self._clock()}
        rows = await self._db.hold_all(tx, self._table, [{"id": window.key, **empty} for window in windows])
        # Only now: another may have held them for a while.
        now = self._clock()
        counted = take(windows, [row["taken"]["at"] for row in rows], ticks(now))
        taken = [
            {"key": window.key, "taken": {"at": at}, "expires_at": now + window.length}
            for window, at in zip(windows, counted.taken, strict=False)
        ]
        if taken:
            await tx.execute(self._write, taken)
        return counted.wait

    async def sweep(self, tx: AsyncConnection) -> bool:
        """Delete a batch of windows that are over; whether more may be left."""
        over = self._table.c.expires_at <= self._clock()
        ids = list(await tx.scalars(select(self._table.c.id).where(over).limit(BATCH)))
        if ids:
            await tx.execute(delete(self._table).where(self._table.c.id.in_(ids), over))
        return len(ids) == BATCH

    async def serves(self) -> bool:
        """Whether counts are kept where they should be; for the database, others ask."""
        return True

    async def aclose(self) -> None:
        """Nothing of its own is open."""

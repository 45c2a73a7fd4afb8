"""Counts in the application's own database: one row a subject and rule, with the times of what it holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

from limits import RateLimitItem
from sqlalchemy import Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.batches import BATCH
from sigra.db.engine import Database


class DatabaseStore:
    """Moving windows as rows; who counts holds the row, so that all workers together never pass a limit.

    Args:
        table: `sigra_limits`.
    """

    def __init__(self, db: Database, table: Table, clock: Callable[[], datetime]) -> None:
        self._db, self._table, self._clock = db, table, clock

    async def take(self, key: str, rate: RateLimitItem) -> float | None:
        """Take a place in the window; the seconds until one is free when there is none.

        Raises:
            Unavailable: The database cannot serve: nobody is let in uncounted.
        """
        digest = sha256(rate.key_for(key).encode()).digest()
        return await self._db.transaction(partial(self._take, digest=digest, rate=rate))

    async def _take(self, tx: AsyncConnection, digest: bytes, rate: RateLimitItem) -> float | None:
        now, span = self._clock().timestamp(), rate.get_expiry()
        values = {"taken": {"at": []}, "expires_at": self._clock() + timedelta(seconds=span)}
        row = await self._db.hold(tx, self._table, {"id": digest, **values})
        within = [at for at in row["taken"]["at"] if at > now - span]
        if len(within) >= rate.amount:
            return float(within[-rate.amount]) + span - now
        values["taken"] = {"at": [*within, now]}
        await tx.execute(update(self._table).where(self._table.c.id == digest).values(values))
        return None

    async def sweep(self, tx: AsyncConnection) -> bool:
        """Delete a batch of windows that are over; whether more may be left."""
        over = self._table.c.expires_at <= self._clock()
        ids = list(await tx.scalars(select(self._table.c.id).where(over).limit(BATCH)))
        if ids:
            await tx.execute(delete(self._table).where(self._table.c.id.in_(ids), over))
        return len(ids) == BATCH

    async def aclose(self) -> None:
        """Nothing of its own is open."""

"""Rows go on to where whoever has the database cannot reach them: in the chain's order, each at least once.

The table itself is the buffer: a cursor says how far a sink has come. While it is down rows stay, and go later.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth
from sigra_audit.exporting import record
from sigra_audit.tables import Tables
from sigra_audit.verifying import sealed

_log = logging.getLogger("sigra.audit")

BATCH = 100

TIME_LIMIT = timedelta(seconds=10)
"""What a sink may take for a batch."""

TURN = timedelta(seconds=30)
"""How long the cursor is one process's; longer than a sink may take."""

PAUSE = timedelta(seconds=15)
"""After a sink that did not take a batch."""


class Undelivered(Exception):
    """Raised by a sink that did not take a batch; says why, and nothing of what it was given."""


class Sink(Protocol):
    """Takes rows."""

    @property
    def name(self) -> str:
        """Of its cursor."""
        ...

    async def send(self, records: Sequence[dict[str, Any]]) -> None:
        """Deliver the rows, in this order.

        Raises:
            Undelivered: They have to be sent again; some may have arrived.
        """
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """A process's hold of a cursor, until it ends."""

    position: int
    until: datetime


@dataclass(frozen=True)
class Forwarder:
    """Brings one sink up to the end of the chain."""

    auth: Auth
    tables: Tables
    sink: Sink

    async def forward(self) -> int:
        """Send what the sink has not got; how many rows that were. Nothing while another process does it."""
        sent = 0
        while await self._is_behind():
            turn = await self.auth.db.transaction(self._take_turn)
            done = 0 if turn is None else await self._send(turn)
            sent += done
            if not done:
                break
        return sent

    async def _is_behind(self) -> bool:
        cursors, seals = self.tables.cursors, self.tables.seals
        async with self.auth.db.connect() as tx:
            reached = await tx.scalar(select(cursors.c.position).where(cursors.c.name == self.sink.name)) or 0
            return await tx.scalar(select(seals.c.position).where(seals.c.position > reached).limit(1)) is not None

    async def _send(self, turn: Turn) -> int:
        async with self.auth.db.connect() as tx:
            query = sealed(self.tables, turn.position).limit(BATCH)
            # A row that somebody has taken away is a gap in what the sink gets, which `position` shows.
            rows = (await tx.execute(query)).mappings().all()
        records = [record(row) for row in rows if row["id"] is not None]
        try:
            if records:
                await self.sink.send(records)
        except Undelivered as error:
            _log.warning("audit rows wait for the sink %s: %s", self.sink.name, error)
            await self.auth.db.transaction(partial(self._leave, turn=turn, position=turn.position, pause=PAUSE))
            return 0
        reached = rows[-1]["position"] if rows else turn.position
        await self.auth.db.transaction(partial(self._leave, turn=turn, position=reached, pause=None))
        return len(rows)

    async def _take_turn(self, tx: AsyncConnection) -> Turn | None:
        now, cursors = self.auth.clock(), self.tables.cursors
        new = {"name": self.sink.name, "position": 0, "held_until": None}
        row = await self.auth.db.hold(tx, cursors, new)
        if row["held_until"] is not None and row["held_until"] > now:
            return None
        turn = Turn(row["position"], now + TURN)
        await tx.execute(update(cursors).where(cursors.c.name == self.sink.name).values(held_until=turn.until))
        return turn

    async def _leave(self, tx: AsyncConnection, turn: Turn, position: int, pause: timedelta | None) -> None:
        cursors = self.tables.cursors
        mine = (cursors.c.name == self.sink.name) & (cursors.c.held_until == turn.until)
        until = None if pause is None else self.auth.clock() + pause
        await tx.execute(update(cursors).where(mine).values(position=position, held_until=until))

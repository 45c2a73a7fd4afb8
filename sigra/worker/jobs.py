"""Periodic jobs: each is done by one worker at a time, batch by batch, whoever comes first when it is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.engine import Database
from sigra.errors import SigraError
from sigra.models import Job

_log = logging.getLogger("sigra.worker")

TURN = timedelta(minutes=10)
"""How long a job is its worker's, from batch to batch; one that fails is tried again after it."""

BATCH_LIMIT = 300.0
"""Seconds that a batch may take; less than a turn, so that no two workers are at one job."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A job, and the end of the turn that holds it.

    Args:
        due_at: As it is in the table, by which a worker sees that nobody else has taken the job; None for a new one.
    """

    job: Job
    due_at: datetime | None


class Jobs:
    """The periodic work of the core and the plugins.

    Args:
        turns: The table `sigra_jobs`: when each job is due.
    """

    def __init__(self, db: Database, turns: Table, jobs: Sequence[Job], *, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._table = turns
        self._jobs = tuple(jobs)
        self._clock = clock
        self._quiet_until: datetime | None = None

    @property
    def nothing_is_due(self) -> bool:
        """Whether that is known without a look: what other workers do only makes a job due later."""
        return self._quiet_until is not None and self._clock() < self._quiet_until

    async def due(self) -> list[Turn]:
        """The jobs whose turn it is."""
        names = [job.name for job in self._jobs]
        async with self._db.connect() as tx:
            rows = await tx.execute(select(self._table).where(self._table.c.name.in_(names)))
            known = {row.name: row.due_at for row in rows}
        now = self._clock()
        turns = [Turn(job, known.get(job.name)) for job in self._jobs]
        due = [turn for turn in turns if turn.due_at is None or turn.due_at <= now]
        self._quiet_until = None if due else min(known.values(), default=datetime.max.replace(tzinfo=now.tzinfo))
        return due

    async def run(self, turn: Turn) -> None:
        """Do a job until nothing is left of it, unless somebody else does; whatever it raises, the rest goes on."""
        try:
            await self._batches(turn)
        except SigraError as error:
            _log.warning("job %s waits: %s", turn.job.name, error.detail)
        except Exception:  # noqa: BLE001  (of whatever plugin it is)
            _log.exception("job %s failed; it is tried again", turn.job.name)

    async def _batches(self, turn: Turn) -> None:
        job, held = turn.job, await self._move(turn, TURN)
        while held is not None:
            async with asyncio.timeout(BATCH_LIMIT):
                more = await job.run()
            if not more:
                await self._move(held, job.every)
                return
            held = await self._move(held, TURN)

    async def _move(self, turn: Turn, by: timedelta) -> Turn | None:
        """The turn, to end later; None when it is another worker's by now."""
        later = Turn(turn.job, self._clock() + by)
        return later if await self._db.transaction(partial(self._moved, turn=turn, later=later)) else None

    async def _moved(self, tx: AsyncConnection, turn: Turn, later: Turn) -> bool:
        table = self._table
        if turn.due_at is None:
            return await self._db.dialect.insert_new(tx, table, {"name": turn.job.name, "due_at": later.due_at})
        held = (table.c.name == turn.job.name) & (table.c.due_at == turn.due_at)
        moved = await tx.execute(update(table).where(held).values(due_at=later.due_at))
        return moved.rowcount == 1

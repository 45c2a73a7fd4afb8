"""The worker: does what waits in the outbox, and the jobs that are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.engine import Database
from sigra.errors import SigraError
from sigra.mail import Outbox, Waiting
from sigra.messages import Undeliverable
from sigra.models import Job
from sigra.worker.background import Background

_log = logging.getLogger("sigra.worker")

PAUSE = 5.0
"""Seconds between two looks for work that another process left; what this one leaves is seen at once."""

BATCH = 50

DELIVERY_LIMIT = 60.0
"""Seconds that one delivery may take; less than a lease."""

RETRY_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 1440))
"""Before the second try, and so on: about two days in all (a relay, 4 to 5 days: RFC 5321, 4.5.4.1)."""

JOB_LEASE = timedelta(minutes=10)


Step = Callable[[Waiting], Coroutine[Any, Any, None]]


class Worker:
    """Does what waits in the outbox, and the jobs that are due; several may run side by side.

    Args:
        steps: What is done with a row, by its phase.
        turns: The table `sigra_jobs`: when each job is due.
    """

    def __init__(
        self,
        db: Database,
        outbox: Outbox,
        steps: Mapping[str, Step],
        turns: Table,
        jobs: Sequence[Job],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._outbox = outbox
        self._steps = steps
        self._turns = turns
        self._clock = clock
        self._jobs = tuple(jobs)
        self._running: asyncio.Task[None] | None = None
        self._call = asyncio.Event()

    def wake(self) -> None:
        """There is something to do."""
        self._call.set()

    def start(self, background: Background) -> None:
        """Work on the running loop until `stop`."""
        if self._running is None or self._running.done():
            self._call = asyncio.Event()
            self._running = background.spawn(self.run())

    async def stop(self) -> None:
        """End; a delivery that is under way is taken up again later."""
        running, self._running = self._running, None
        if running is not None and running.get_loop() is asyncio.get_running_loop():
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._call.clear()
            try:
                await self.work()
            except SigraError as error:
                _log.warning("later work waits: %s", error.detail)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._call.wait(), PAUSE)

    async def work(self) -> int:
        """Do all that is due now; how many things that were."""
        done = await self._do_jobs()
        while batch := await self._claimed():
            done += len(batch)
            await asyncio.gather(*(self._do(waiting) for waiting in batch))
        return done

    async def _claimed(self) -> list[Waiting]:
        async with self._db.connect() as tx:
            due = await self._outbox.due(tx, BATCH)
        return [one for one in due if await self._db.transaction(partial(self._outbox.claim, waiting=one))]

    async def _do(self, waiting: Waiting) -> None:
        try:
            async with asyncio.timeout(DELIVERY_LIMIT):
                await self._steps[waiting.phase](waiting)
        except Exception as error:  # noqa: BLE001  (whatever a sender or a plugin raises, the rest goes on)
            await self._postpone(waiting, error)

    async def _postpone(self, waiting: Waiting, error: Exception) -> None:
        final = isinstance(error, Undeliverable) or waiting.tries >= len(RETRY_DELAYS)
        delay = None if final else RETRY_DELAYS[waiting.tries]
        problem = str(error) if isinstance(error, Undeliverable) else type(error).__name__
        _log.warning("%s %s is %s: %s", waiting.phase, waiting.kind, "given up" if final else "tried again", problem)
        await self._db.transaction(partial(self._outbox.postpone, id=waiting.id, delay=delay, problem=problem))

    async def _do_jobs(self) -> int:
        done = 0
        for job in self._jobs:
            while await self._db.transaction(partial(self._take_turn, job=job)):
                done += 1
                more = await job.run()
                await self._db.transaction(partial(self._end_turn, job=job, more=more))
                if not more:
                    break
        return done

    async def _take_turn(self, tx: AsyncConnection, job: Job) -> bool:
        table, now = self._turns, self._clock()
        if (await tx.execute(select(table.c.name).where(table.c.name == job.name))).first() is None:
            return await self._db.dialect.insert_new(tx, table, {"name": job.name, "due_at": now + JOB_LEASE})
        taken = await tx.execute(
            update(table).where(table.c.name == job.name, table.c.due_at <= now).values(due_at=now + JOB_LEASE)
        )
        return taken.rowcount == 1

    async def _end_turn(self, tx: AsyncConnection, job: Job, *, more: bool) -> None:
        table, now = self._turns, self._clock()
        await tx.execute(update(table).where(table.c.name == job.name).values(due_at=now if more else now + job.every))

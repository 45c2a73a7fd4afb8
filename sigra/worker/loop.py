"""The worker: does what waits in the outbox, and the jobs that are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.engine import Database
from sigra.errors import HookFailed, SigraError
from sigra.loops import PerLoop
from sigra.mail import Outbox, Waiting
from sigra.messages import Undeliverable, Undelivered
from sigra.worker.background import Background
from sigra.worker.jobs import Jobs

_log = logging.getLogger("sigra.worker")

PAUSE = 5.0
"""Seconds between two looks for work that another process left; what this one leaves is seen at once."""

HANDS = 8
"""Messages that a worker sends at the same time."""

DELIVERY_LIMIT = 60.0
"""Seconds that one delivery may take; less than a lease."""

RETRY_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 1440))
"""Before the second try, and so on: about two days in all (a relay, 4 to 5 days: RFC 5321, 4.5.4.1)."""

Step = Callable[[Waiting], Coroutine[Any, Any, None]]


@dataclass(eq=False)
class _Desk:
    """What a worker has to itself on one event loop.

    Args:
        call: Set when there may be something to do.
        trouble: Why the last look failed: said once, however long it lasts.
    """

    call: asyncio.Event = field(default_factory=asyncio.Event)
    sending: set[asyncio.Task[None]] = field(default_factory=set)
    running: asyncio.Task[None] | None = None
    ended: bool = False
    trouble: str | None = None


class Worker:
    """Does what waits in the outbox, and the jobs that are due; several may run side by side.

    Args:
        steps: What is done with a row, by its phase.
        background: Where its tasks run, until shutdown has waited long enough.
        ended: Called when it has ended on one loop, whatever ended it.
    """

    def __init__(
        self,
        db: Database,
        outbox: Outbox,
        steps: Mapping[str, Step],
        jobs: Jobs,
        background: Background,
        ended: Callable[[], None],
    ) -> None:
        self._db = db
        self._outbox = outbox
        self._steps = steps
        self._jobs = jobs
        self._background, self._ended = background, ended
        self._desks = PerLoop(_Desk, lambda _: None)

    def wake(self) -> None:
        """There is something to do."""
        self._desks.get().call.set()

    def start(self) -> None:
        """Work on the running loop until `stop`; nothing when it works already."""
        desk = self._desks.get()
        if desk.running is None or desk.running.done():
            desk.ended = False
            desk.running = self._background.spawn(self._run(desk))
            desk.running.add_done_callback(lambda _: self._ended())

    def stop(self) -> None:
        """Begin nothing more; what is under way is waited for with the rest of the background's tasks."""
        desk = self._desks.get()
        desk.ended = True
        desk.call.set()

    async def work(self) -> int:
        """Do all that is due now, to its end; how many things that were."""
        desk = self._desks.get()
        turns = await self._jobs.due()
        for turn in turns:
            await self._jobs.run(turn)
        done = len(turns)
        while claimed := await self._claimed(HANDS):
            if begun := await self._begin(desk, claimed):
                await asyncio.wait(begun)
            done += len(claimed)
        return done

    async def _run(self, desk: _Desk) -> None:
        while not desk.ended:
            desk.call.clear()
            await self._look(desk)
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await desk.call.wait()

    async def _look(self, desk: _Desk) -> None:
        """Begin what can be begun; a database that is away is waited for."""
        try:
            if not self._jobs.nothing_is_due:
                for turn in await self._jobs.due():
                    self._background.spawn(self._jobs.run(turn))
            while not desk.ended and (claimed := await self._claimed(HANDS - len(desk.sending))):
                await self._begin(desk, claimed)
        except Exception as error:  # noqa: BLE001  (whatever it was, there is a next look)
            _tell_trouble(desk, error)
        else:
            _tell_trouble(desk, None)

    async def _claimed(self, limit: int) -> list[Waiting]:
        """What is due and now this worker's: never more than it begins at once, or leases would run out in a queue."""
        if limit <= 0:
            return []
        async with self._db.connect() as tx:
            due = await self._outbox.due(tx, limit)
        return await self._db.transaction(partial(self._claim, due=due)) if due else []

    async def _claim(self, tx: AsyncConnection, due: Sequence[Waiting]) -> list[Waiting]:
        claimed = []
        for waiting in due:
            if waiting.tries > len(RETRY_DELAYS):
                # Nobody postponed it after its last try: it ends whoever takes it up.
                await self._outbox.postpone(tx, waiting, None, "its workers were killed")
            elif (own := await self._outbox.claim(tx, waiting)) is not None:
                claimed.append(own)
        return claimed

    async def _begin(self, desk: _Desk, claimed: Sequence[Waiting]) -> set[asyncio.Task[None]]:
        """Answer the requests one by one, so that messages are in their order, and begin to send the messages."""
        begun = set()
        for waiting in claimed:
            if waiting.phase == "request":
                await self._do(waiting)
                continue
            task = self._background.spawn(self._do(waiting))
            desk.sending.add(task)
            task.add_done_callback(partial(_leave, desk))
            begun.add(task)
        return begun

    async def _do(self, waiting: Waiting) -> None:
        try:
            async with asyncio.timeout(DELIVERY_LIMIT):
                await self._steps[waiting.phase](waiting)
        except Exception as error:  # noqa: BLE001  (whatever a sender or a plugin raises, the rest goes on)
            await self._postpone(waiting, error)

    async def _postpone(self, waiting: Waiting, error: Exception) -> None:
        final = isinstance(error, Undeliverable) or waiting.tries > len(RETRY_DELAYS)
        delay = None if final else RETRY_DELAYS[waiting.tries - 1]
        problem = _problem(error)
        _log.warning(
            "%s %s %s is %s: %s",
            *(waiting.phase, waiting.kind, waiting.id, "given up" if final else "tried again", problem),
        )
        try:
            await self._db.transaction(partial(self._outbox.postpone, waiting=waiting, delay=delay, problem=problem))
        except SigraError as unavailable:
            _log.warning("%s %s waits for its lease to end: %s", waiting.kind, waiting.id, unavailable.detail)


def _leave(desk: _Desk, task: asyncio.Task[None]) -> None:
    """A hand is free for the next."""
    desk.sending.discard(task)
    desk.call.set()


def _problem(error: Exception) -> str:
    """What an operator is told: a sender's own words, of all others the name, since their text may hold anything."""
    if isinstance(error, Undelivered):
        return str(error) or type(error).__name__
    cause = error.__cause__ if isinstance(error, HookFailed) else None
    return type(cause or error).__name__


def _tell_trouble(desk: _Desk, error: Exception | None) -> None:
    trouble = None if error is None else type(error).__name__
    if trouble == desk.trouble:
        return
    desk.trouble = trouble
    if error is None:
        _log.warning("later work goes on")
    elif isinstance(error, SigraError):
        _log.warning("later work waits: %s", error.detail)
    else:
        _log.error("later work waits", exc_info=error)

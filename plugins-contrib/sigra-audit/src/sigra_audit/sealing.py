"""The sealer: gives rows their place in the chain, one process at a time, shortly after they were committed.

A sign-in writes its row and waits for nobody: a chain that is extended in the transaction of the fact would let one
sign-in happen at a time. What waits for its place is what was recorded within the last second, or while no process ran.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, ClassVar

from sqlalchemy import Select, exists, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, Event, SigraError
from sigra_audit.chain import ANCHOR, SEAL, START, Link, link_of, seal_row, vouches
from sigra_audit.entries import entry_of, first_id, is_authentic
from sigra_audit.keys import Keys
from sigra_audit.tables import Tables

_log = logging.getLogger("sigra.audit")

BATCH = 500

SOON = timedelta(minutes=1)
"""How long before the newest seal a row may have been begun: a transaction takes ten seconds at most, clocks differ."""

LATE = timedelta(hours=1)
"""The same for the look that the job takes: a machine whose clock is that wrong is not left out for ever."""


@dataclass(frozen=True, kw_only=True)
class KeyChanged(Event):
    """Another key signs the record; `metadata` has the ids of the one that `was` and the one that is `now`."""

    name: ClassVar[str] = "audit.key_changed"


@dataclass(frozen=True)
class Head:
    """The end of the chain.

    Args:
        since: No row older than this has been waiting for a place; None while there is no chain.
        key_id: The key that vouches for it.
    """

    link: Link
    since: uuid.UUID | None
    key_id: str | None = None


class ChainBroken(Exception):
    """Raised when the end of the chain is not authentic: nothing is added to it until somebody has looked."""


@dataclass(frozen=True)
class Sealer:
    """Adds to the chain what waits for its place."""

    auth: Auth
    tables: Tables
    keys: Keys

    async def seal(self, late: timedelta = LATE) -> int:
        """Give every row that waits its place; how many there were.

        Raises:
            ChainBroken: The chain's end is not what was written.
        """
        sealed, after = 0, uuid.UUID(int=0)
        while await self._waits(late, after):
            done, after, more = await self.auth.db.transaction(partial(self._batch, late=late, after=after))
            sealed += done
            if not more:
                break
        return sealed

    async def note_key(self) -> None:
        """Record that another key signs from now on, so that the chain's end does not hang on one that will go."""
        async with self.auth.db.connect() as tx:
            was = (await self.head(tx)).key_id
        if was not in (None, self.keys.ids[0]):
            event = KeyChanged(metadata={"was": was, "now": self.keys.ids[0]})
            await self.auth.db.transaction(partial(self.auth.emit, event=event))

    async def _waits(self, late: timedelta, after: uuid.UUID) -> bool:
        """A look that writes nothing: most have nothing to do."""
        async with self.auth.db.connect() as tx:
            head = await self.head(tx, late)
            return (await tx.execute(self._waiting(head, after).limit(1))).first() is not None

    async def _batch(self, tx: AsyncConnection, late: timedelta, after: uuid.UUID) -> tuple[int, uuid.UUID, bool]:
        # One at a time: whoever comes second sees what the first has added.
        await self.auth.db.hold(tx, self.tables.cursors, {"name": "sealer", "position": 0, "held_until": None})
        head = await self.head(tx, late)
        found = (await tx.execute(self._waiting(head, after).limit(BATCH))).mappings().all()
        link, rows, now = head.link, [], self.auth.clock()
        forged = [row["id"] for row in found if not is_authentic(row, self.keys)]
        for row in found:
            if row["id"] not in forged:
                link = link.following(row["id"], entry_of(row).digest())
                rows.append(seal_row(link, row["id"], now, self.keys))
        if rows:
            await tx.execute(insert(self.tables.seals), rows)
        if forged:
            _log.error("%d audit rows get no place, not being made with our keys; first %s", len(forged), forged[0])
        return len(rows), found[-1]["id"] if found else after, len(found) == BATCH

    def _waiting(self, head: Head, after: uuid.UUID) -> Select[Any]:
        entries, seals = self.tables.entries, self.tables.seals
        bound = after if head.since is None else max(after, head.since)
        unsealed = ~exists(select(seals.c.position).where(seals.c.entry_id == entries.c.id))
        return select(entries).where(entries.c.id > bound, unsealed).order_by(entries.c.id)

    async def head(self, tx: AsyncConnection, late: timedelta = SOON) -> Head:
        """The end of the chain, once it is seen to be authentic."""
        seals, anchors = self.tables.seals, self.tables.anchors
        for table, label in ((seals, SEAL), (anchors, ANCHOR)):
            found = await tx.execute(select(table).order_by(table.c.position.desc()).limit(1))
            row = found.mappings().first()
            if row is None:
                continue
            # One made with a key that is not there could be anybody's, and what follows would vouch for it.
            if not vouches(row, label, self.keys):
                raise ChainBroken(
                    f"the {label} at position {row['position']} is not authentic, or its key is not there: "
                    "run `sigra audit verify`"
                )
            # A clock that was ahead leaves a seal of the future, and what is written before then waits all the same.
            made_at = min(row["made_at"], self.auth.clock())
            return Head(link_of(row), first_id(made_at - late), row["key_id"])
        return Head(START, None)


class Soon:
    """Has something done shortly after there was a reason, by the process in which there was.

    Args:
        after: How long it waits, so that it is done once for many reasons.
        work: What is done then.
        at_end: Whether what is about to be done is done when the process ends; else it is left to others.
    """

    def __init__(self, after: timedelta, work: Callable[[], Awaitable[object]], *, at_end: bool = True) -> None:
        self._after = after.total_seconds()
        self._work = work
        self._at_end = at_end
        self._open = False
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to do."""
        if not self._open:
            return
        self._wanted = True
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            # A context of its own: it outlives the request.
            self._task = loop.create_task(self._later(), context=Context())

    async def _later(self) -> None:
        while self._wanted:
            await asyncio.sleep(self._after)
            self._wanted = False
            await self._try()

    async def _try(self) -> None:
        try:
            await self._work()
        except SigraError as error:
            _log.warning("audit rows wait for their place: %s", error.detail)
        except ChainBroken as error:
            _log.error("audit rows wait for their place: %s", error)
        except Exception:  # noqa: BLE001  (whatever it was, the next look finds what waits)
            _log.exception("audit rows wait for their place")

    async def __aenter__(self) -> None:
        self._open = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do what was about to be done, or leave it."""
        self._open, task, self._task = False, self._task, None
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._at_end:
            await self._try()

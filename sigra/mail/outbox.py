"""The outbox: what is to be sent lies in the transaction of its fact, and leaves the table when it is delivered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Table, and_, delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.batches import delete_batch
from sigra.db.identifiers import uuid7
from sigra.messages import MailRequest, Message, Mint

Phase = Literal["request", "message"]

LEASE = timedelta(minutes=5)
"""How long a row is its worker's: longer than a delivery may take, so that only a killed worker's is taken up again."""

DEAD_FOR = timedelta(days=30)
"""How long an operator may look at what was given up, and retry it."""

LANGUAGES_LENGTH = 128
PROBLEM_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the outbox.

    Args:
        tries: How often it was taken up, this time included.
        minted_at: When its token was made, UTC; None before.
        dead_at: When it was given up.
        problem: Why the last try failed, without anything secret.
    """

    id: uuid.UUID
    phase: Phase
    kind: str
    recipient: str = field(repr=False)
    user_id: uuid.UUID | None
    languages: str | None
    context: Mapping[str, Any] = field(repr=False)
    mint: Mint | None = field(repr=False)
    minted_at: datetime | None
    created_at: datetime
    due_at: datetime
    tries: int
    dead_at: datetime | None
    problem: str | None

    @property
    def request(self) -> MailRequest:
        """The row as what was asked for."""
        return MailRequest(self.kind, self.recipient, self.context, self.languages)


class Outbox:
    """The table `sigra_outbox`.

    Args:
        outbox: Messages, and requests for messages, that wait.
    """

    def __init__(self, outbox: Table, *, clock: Callable[[], datetime], random: Callable[[int], bytes]) -> None:
        self._table = outbox
        self._clock = clock
        self._random = random

    async def put(self, tx: AsyncConnection, message: Message) -> None:
        """Send a message once the transaction is committed."""
        mint = None if message.mint is None else _packed(message.mint)
        user_id = None if message.user is None else message.user.id
        said = (message.languages, message.context, mint)
        await self._add(tx, "message", message.kind, message.recipient, user_id, *said)

    async def ask(self, tx: AsyncConnection, request: MailRequest) -> None:
        """Have a request answered once the transaction is committed."""
        await self._add(tx, "request", request.purpose, request.address, None, request.languages, request.context, None)

    async def due(self, tx: AsyncConnection, limit: int) -> list[Waiting]:
        """What is to be done now, the longest due first."""
        table = self._table
        statement = select(table).where(table.c.dead_at.is_(None), table.c.due_at <= self._clock())
        rows = await tx.execute(statement.order_by(table.c.due_at, table.c.id).limit(limit))
        return [_waiting(row) for row in rows]

    async def claim(self, tx: AsyncConnection, waiting: Waiting) -> Waiting | None:
        """The row as this worker's for a while, the try counted before it is made; None when another was first."""
        own = replace(waiting, due_at=self._clock() + LEASE, tries=waiting.tries + 1)
        return own if await self._change(tx, waiting, due_at=own.due_at, tries=own.tries) else None

    async def note_minted(self, tx: AsyncConnection, waiting: Waiting) -> bool:
        """Note, in the transaction that makes a message's token, that it is made; False when it was before."""
        table = self._table
        noted = await tx.execute(
            update(table).where(table.c.id == waiting.id, table.c.minted_at.is_(None)).values(minted_at=self._clock())
        )
        return noted.rowcount == 1

    async def done(self, tx: AsyncConnection, waiting: Waiting) -> bool:
        """Take out what is sent, answered or no more to be sent; False when it is another worker's by now."""
        gone = await tx.execute(delete(self._table).where(self._held(waiting)))
        return gone.rowcount == 1

    async def postpone(self, tx: AsyncConnection, waiting: Waiting, delay: timedelta | None, problem: str) -> bool:
        """Try again after `delay`; with None never again, until an operator says so."""
        now = self._clock()
        values: dict[str, Any] = {"dead_at": now} if delay is None else {"due_at": now + delay}
        return await self._change(tx, waiting, problem=problem[:PROBLEM_LENGTH], **values)

    async def _change(self, tx: AsyncConnection, waiting: Waiting, **values: Any) -> bool:
        changed = await tx.execute(update(self._table).where(self._held(waiting)).values(**values))
        return changed.rowcount == 1

    def _held(self, waiting: Waiting) -> ColumnElement[bool]:
        """Whether the row is as it was seen: every worker that takes it moves the end of the lease."""
        table = self._table
        return and_(table.c.id == waiting.id, table.c.due_at == waiting.due_at, table.c.dead_at.is_(None))

    async def list(self, tx: AsyncConnection) -> list[Waiting]:
        """All that waits or was given up, the oldest first."""
        rows = await tx.execute(select(self._table).order_by(self._table.c.created_at, self._table.c.id))
        return [_waiting(row) for row in rows]

    async def retry(self, tx: AsyncConnection, id: uuid.UUID | None = None) -> int:
        """Make what was given up due again: one row, or all of them; how many there were."""
        table = self._table
        chosen = table.c.dead_at.is_not(None) if id is None else (table.c.id == id) & table.c.dead_at.is_not(None)
        values = {"dead_at": None, "due_at": self._clock(), "tries": 0}
        again = await tx.execute(update(table).where(chosen).values(values))
        return again.rowcount

    async def sweep(self, tx: AsyncConnection) -> bool:
        """Delete a batch of what was given up long ago; whether more may be left."""
        return await delete_batch(tx, self._table, self._table.c.dead_at <= self._clock() - DEAD_FOR)

    async def _add(
        self,
        tx: AsyncConnection,
        phase: Phase,
        kind: str,
        recipient: str,
        user_id: uuid.UUID | None,
        languages: str | None,
        context: Mapping[str, Any],
        mint: dict[str, Any] | None,
    ) -> None:
        now = self._clock()
        values = {
            "id": uuid7(self._clock, self._random),
            "phase": phase,
            "kind": kind,
            "recipient": recipient,
            "user_id": user_id,
            "languages": languages[:LANGUAGES_LENGTH] if languages else None,
            "context": dict(context),
            "mint": mint,
            "created_at": now,
            "due_at": now,
            "tries": 0,
        }
        await tx.execute(insert(self._table).values(values))


def _packed(mint: Mint) -> dict[str, Any]:
    return {
        "purpose": mint.purpose,
        "page": mint.page,
        "lifetime": mint.lifetime.total_seconds(),
        "payload": dict(mint.payload),
        "subject": mint.subject,
        "code": mint.code,
    }


def _unpacked(packed: Mapping[str, Any]) -> Mint:
    return Mint(**{**packed, "lifetime": timedelta(seconds=packed["lifetime"])})


def _waiting(row: Row[Any]) -> Waiting:
    values = dict(row._mapping)  # noqa: SLF001  (its public name)
    return Waiting(**{**values, "mint": None if values["mint"] is None else _unpacked(values["mint"])})

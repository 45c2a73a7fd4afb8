"""Rows of `sigra_lockout`, one a subject, whether or not it has an account; subjects are kept as keyed digests."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Boolean, Column, ColumnElement, Integer, MetaData, RowMapping, Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Attempt, Auth, User, canonical_email
from sigra.db import Digest, UTCDateTime, delete_batch
from sigra_lockout.counting import QUIET, Count, Rule


class Locks:
    """The counts of all subjects."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_lockout",
            metadata,
            Column("id", Digest(), primary_key=True),
            Column("account", Digest(), nullable=False, index=True),
            Column("failures", Integer, nullable=False),
            Column("locks", Integer, nullable=False),
            Column("locked_until", UTCDateTime),
            Column("told", Boolean, nullable=False),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
        )

    async def count(self, auth: Auth, attempt: Attempt, rule: Rule, tx: AsyncConnection) -> bool:
        """Count a try before its proof is looked at; whether its subject is locked already.

        The row is held from the look to the end, so that of any number at once no more are let pass than the rule says.
        """
        now = auth.clock()
        new = Count(0, 0, None, now + QUIET)
        row = await auth.db.hold(
            tx, self.table, {"id": key(auth, attempt), "account": account(auth, attempt), **_values(new)}
        )
        count = _count(row)
        if count.is_locked(now):
            return True
        values = _values(rule.after(count, now))
        await tx.execute(update(self.table).where(self.table.c.id == row["id"]).values(values))
        return False

    async def take_back(self, auth: Auth, attempt: Attempt, rule: Rule, tx: AsyncConnection) -> None:
        """Count a try no longer, which was right and is not all that is asked for: what else was counted stays."""
        mine = self.table.c.id == key(auth, attempt)
        row = (await tx.execute(select(self.table).where(mine).with_for_update())).mappings().first()
        if row is not None:
            values = _values(rule.without(_count(row), auth.clock()))
            await tx.execute(update(self.table).where(mine).values(values))

    async def tell(self, auth: Auth, attempt: Attempt, tx: AsyncConnection) -> datetime | None:
        """Until when the subject is locked, to the first who asks during a lock; None to all others."""
        mine = self.table.c.id == key(auth, attempt)
        untold = self.table.c.locked_until > auth.clock(), self.table.c.told.is_(False)
        if (await tx.execute(update(self.table).where(mine, *untold).values(told=True))).rowcount != 1:
            return None
        return await tx.scalar(select(self.table.c.locked_until).where(mine))

    async def reset(self, auth: Auth, attempt: Attempt, tx: AsyncConnection) -> None:
        """Forget what was counted by the subject of a try, which was right."""
        await tx.execute(delete(self.table).where(self.table.c.id == key(auth, attempt)))

    async def until(self, tx: AsyncConnection, id: bytes) -> datetime | None:
        """Until when a row is locked, or was."""
        return await tx.scalar(select(self.table.c.locked_until).where(self.table.c.id == id))

    async def end(self, tx: AsyncConnection, id: bytes, until: datetime) -> bool:
        """End that lock of a row and no other; False when it has ended. The next one is no shorter for it."""
        lock = self.table.c.id == id, self.table.c.locked_until == until
        ended = await tx.execute(update(self.table).where(*lock).values(locked_until=None, failures=0))
        return ended.rowcount == 1

    async def of(self, auth: Auth, tx: AsyncConnection, user: User) -> list[tuple[int, datetime | None]]:
        """The tries at an account, by anybody, and until when they lock it."""
        columns = self.table.c.failures, self.table.c.locked_until
        rows = await tx.execute(select(*columns).where(self._its(auth, user)))
        return [(failures, until) for failures, until in rows]

    async def forget(self, auth: Auth, tx: AsyncConnection, user: User) -> int:
        """Forget all that was counted at an account; how many of it were locked."""
        locked = select(self.table.c.id).where(self._its(auth, user), self.table.c.locked_until > auth.clock())
        found = (await tx.execute(locked)).all()
        await tx.execute(delete(self.table).where(self._its(auth, user)))
        return len(found)

    async def clear(self, tx: AsyncConnection) -> int:
        """Forget all counts; how many there were."""
        return (await tx.execute(delete(self.table))).rowcount

    async def sweep(self, tx: AsyncConnection, now: datetime) -> bool:
        """Delete a batch of what is forgotten; whether more may be left."""
        return await delete_batch(tx, self.table, self.table.c.expires_at <= now)

    def _its(self, auth: Auth, user: User) -> ColumnElement[bool]:
        return self.table.c.account == auth.tokens.digest(ACCOUNT, _name(user))


SUBJECT, ACCOUNT = "lockout subject", "lockout account"


def key(auth: Auth, attempt: Attempt) -> bytes:
    """By what the tries of a subject are kept."""
    return auth.tokens.digest(SUBJECT, attempt.subject or "")


def account(auth: Auth, attempt: Attempt) -> bytes:
    """By what the subjects of an account are kept together: its address and the browsers that it knows."""
    return auth.tokens.digest(ACCOUNT, attempt.email or (_name(attempt.user) if attempt.user else ""))


def _name(user: User) -> str:
    return str(user.id) if user.email is None else canonical_email(user.email)


def _count(row: RowMapping) -> Count:
    return Count(row["failures"], row["locks"], row["locked_until"], row["expires_at"])


def _values(count: Count) -> dict[str, object]:
    """A count as a row has it; what has just changed is told to nobody yet."""
    return {**asdict(count), "told": False}

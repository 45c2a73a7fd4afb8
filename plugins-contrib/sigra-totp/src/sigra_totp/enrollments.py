"""Who has an authenticator app: one row a user, the seed sealed, the last accepted step beside it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, Conflict, InvalidCredentials, User, timestamp
from sigra.db import Sealed, UTCDateTime, delete_batch, user_ref
from sigra_totp.codes import Parameters

SEED_BYTES = 20
"""160 bits, the length that RFC 4226, section 4, recommends."""

UNCONFIRMED = timedelta(minutes=10)
"""How long a secret waits for its first code."""

HAS_ONE = "The account has an authenticator app already. Remove it first."


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What is kept of a user's app."""

    user_id: uuid.UUID
    seed: bytes = field(repr=False)
    parameters: Parameters
    last_step: int | None


class Enrollments:
    """The table `sigra_totp`."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_totp",
            metadata,
            user_ref(primary_key=True),
            Column("seed", Sealed(), nullable=False),
            Column("algorithm", String(8), nullable=False),
            Column("digits", Integer, nullable=False),
            Column("period", Integer, nullable=False),
            Column("last_step", BigInteger),
            Column("created_at", UTCDateTime, nullable=False, index=True),
            Column("confirmed_at", UTCDateTime),
            Column("last_used_at", UTCDateTime),
        )

    async def begin(self, auth: Auth, tx: AsyncConnection, user: User, parameters: Parameters) -> bytes:
        """A new seed, which counts only after its first code; an older one that still waits ends.

        Raises:
            Conflict: The user has an app already.
        """
        await auth.users.lock(tx, user.id)
        if await self.is_confirmed(tx, user):
            raise Conflict(HAS_ONE)
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))
        seed = auth.random(SEED_BYTES)
        values = {
            "user_id": user.id,
            "seed": auth.vault.seal(self.table.c.seed, user.id, seed),
            "algorithm": parameters.algorithm,
            "digits": parameters.digits,
            "period": parameters.period,
            "created_at": auth.clock(),
        }
        await tx.execute(insert(self.table).values(values))
        return seed

    async def find(self, auth: Auth, user: User, *, confirmed: bool) -> Enrollment | None:
        """The user's app, or the one that waits for its first code.

        Raises:
            SealBroken: The seed does not open.
        """
        table = self.table
        query = select(table.c.seed, table.c.algorithm, table.c.digits, table.c.period, table.c.last_step)
        async with auth.db.connect() as tx:
            row = (await tx.execute(query.where(self._of(auth, user, confirmed=confirmed)))).first()
        if row is None:
            return None
        seed = auth.vault.open(table.c.seed, user.id, row.seed)
        return Enrollment(user.id, seed, Parameters(row.algorithm, row.digits, row.period), row.last_step)

    async def is_confirmed(self, tx: AsyncConnection, user: User) -> bool:
        """Whether the user has an app that counts."""
        table = self.table
        query = select(table.c.user_id).where(table.c.user_id == user.id, table.c.confirmed_at.is_not(None))
        return (await tx.execute(query)).first() is not None

    async def confirm(self, auth: Auth, tx: AsyncConnection, user: User, step: int) -> None:
        """Let the app count, its first code being spent.

        Raises:
            InvalidCredentials: Nothing waits any more.
        """
        now = auth.clock()
        done = await tx.execute(
            update(self.table)
            .where(self._of(auth, user, confirmed=False))
            .values(confirmed_at=now, last_used_at=now, last_step=step)
        )
        if done.rowcount != 1:
            raise InvalidCredentials

    async def spend(self, auth: Auth, tx: AsyncConnection, user: User, step: int) -> None:
        """Accept a step, once: steps only increase.

        Raises:
            InvalidCredentials: It, or a later one, was accepted before.
        """
        table = self.table
        earlier = or_(table.c.last_step.is_(None), table.c.last_step < step)
        spent = await tx.execute(
            update(table)
            .where(self._of(auth, user, confirmed=True), earlier)
            .values(last_step=step, last_used_at=auth.clock())
        )
        if spent.rowcount != 1:
            raise InvalidCredentials

    async def remove(self, tx: AsyncConnection, user: User) -> bool:
        """Whether there was one that counted."""
        was = await self.is_confirmed(tx, user)
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))
        return was

    async def overtake(self, auth: Auth, tx: AsyncConnection) -> int:
        """Accept no code of before now, in a database that may have forgotten which were used; how many apps."""
        table, ended = self.table, 0
        for period in list(await tx.scalars(select(table.c.period).distinct())):
            # Codes of the next step may have been accepted by the window.
            step = int(auth.clock().timestamp()) // period + 1
            its = update(table).where(table.c.period == period, table.c.confirmed_at.is_not(None))
            ended += (await tx.execute(its.values(last_step=step))).rowcount
        return ended

    async def sweep(self, auth: Auth, tx: AsyncConnection) -> bool:
        """Delete a batch of what was never confirmed; whether more may be left."""
        late = self.table.c.created_at <= auth.clock() - UNCONFIRMED
        return await delete_batch(tx, self.table, self.table.c.confirmed_at.is_(None) & late)

    async def exported(self, auth: Auth, user: User) -> Mapping[str, Any] | None:
        """When it was added and used last."""
        table = self.table
        query = select(table.c.confirmed_at, table.c.last_used_at).where(self._of(auth, user, confirmed=True))
        async with auth.db.connect() as tx:
            row = (await tx.execute(query)).first()
        if row is None:
            return None
        return {"confirmed_at": timestamp(row.confirmed_at), "last_used_at": timestamp(row.last_used_at)}

    def _of(self, auth: Auth, user: User, *, confirmed: bool) -> ColumnElement[bool]:
        table = self.table
        its = table.c.user_id == user.id
        if confirmed:
            return its & table.c.confirmed_at.is_not(None)
        return its & table.c.confirmed_at.is_(None) & (table.c.created_at > auth.clock() - UNCONFIRMED)

"""Who has an authenticator app: one row a user, the seed sealed, the last accepted step beside it.

Whoever writes a user's row has locked the user first.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, Conflict, InvalidCredentials, Unauthenticated, User, timestamp
from sigra.db import Sealed, UTCDateTime, user_ref
from sigra_totp.codes import Parameters

SEED_BYTES = 20
"""160 bits, the length that RFC 4226, section 4, recommends."""

UNCONFIRMED = timedelta(minutes=10)
"""How long a secret waits for its first code."""

AHEAD = 1
"""Steps after the present one that may have been accepted: the widest window."""

BATCH = 1000
"""Rows that are deleted in one transaction."""

HAS_ONE = "The account has an authenticator app already. Remove it first."
NOTHING_WAITS = "No authenticator app waits for its first code, or not any more. Begin anew."


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A user's app, whether or not its first code was seen."""

    user_id: uuid.UUID
    parameters: Parameters
    created_at: datetime
    confirmed_at: datetime | None
    sealed: bytes = field(repr=False)


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

    # Reading

    async def find(self, tx: AsyncConnection, user: User) -> Enrollment | None:
        """The user's app that counts."""
        return _enrollment(await self._row(tx, self._confirmed(user)))

    async def waiting(self, auth: Auth, tx: AsyncConnection, user: User) -> Enrollment | None:
        """The user's app that waits for its first code."""
        return _enrollment(await self._row(tx, self._waits(auth, user)))

    def seed(self, auth: Auth, enrollment: Enrollment) -> bytes:
        """The seed in the clear.

        Raises:
            SealBroken: It does not open.
        """
        return auth.vault.open(self.table.c.seed, enrollment.user_id, enrollment.sealed)

    async def _row(self, tx: AsyncConnection, which: ColumnElement[bool]) -> RowMapping | None:
        return (await tx.execute(select(self.table).where(which))).mappings().first()

    # Writing

    async def begin(self, auth: Auth, tx: AsyncConnection, user: User, parameters: Parameters) -> bytes:
        """A new seed, which counts only after its first code; an older one that still waits ends.

        Raises:
            Conflict: The user has an app already.
            Unauthenticated: What let its maker in has ended meanwhile: what a first proof has forgotten stays so.
        """
        present = await auth.users.lock(tx, user.id)
        if present is None or (present.status, present.security_version) != ("active", user.security_version):
            raise Unauthenticated
        if await self.find(tx, user) is not None:
            raise Conflict(HAS_ONE)
        await self.erase(tx, user)
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

    async def confirm(self, auth: Auth, tx: AsyncConnection, user: User, seed: bytes, step: int) -> None:
        """Let the app of that seed count, its first code being spent.

        Raises:
            Conflict: It does not wait any more; another one may.
        """
        waiting = await self.waiting(auth, tx, user)
        if waiting is None or not hmac.compare_digest(self.seed(auth, waiting), seed):
            raise Conflict(NOTHING_WAITS)
        now = auth.clock()
        values = {"confirmed_at": now, "last_used_at": now, "last_step": step}
        await tx.execute(update(self.table).where(self._waits(auth, user)).values(values))

    async def spend(self, auth: Auth, tx: AsyncConnection, user: User, step: int) -> None:
        """Accept a step, once: steps only increase (RFC 6238, section 5.2).

        Raises:
            InvalidCredentials: It, or a later one, was accepted before.
        """
        earlier = or_(self.table.c.last_step.is_(None), self.table.c.last_step < step)
        spent = update(self.table).where(self._confirmed(user), earlier)
        if (await tx.execute(spent.values(last_step=step, last_used_at=auth.clock()))).rowcount != 1:
            raise InvalidCredentials

    async def erase(self, tx: AsyncConnection, user: User) -> None:
        """Delete the user's app, whether or not it counts."""
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    async def end_waiting(self, tx: AsyncConnection, user: User) -> None:
        """Delete the user's app if it does not count yet."""
        waits = self.table.c.confirmed_at.is_(None)
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id, waits))

    async def overtake(self, auth: Auth, tx: AsyncConnection) -> int:
        """Accept no code of before now, in a database that may have forgotten which were used; how many apps.

        What waits for its first code ends.
        """
        await tx.execute(delete(self.table).where(self.table.c.confirmed_at.is_(None)))
        count = 0
        for period in list(await tx.scalars(select(self.table.c.period).distinct())):
            step = int(auth.clock().timestamp()) // period + AHEAD
            its = update(self.table).where(self.table.c.period == period)
            count += (await tx.execute(its.values(last_step=step))).rowcount
        return count

    async def sweep(self, auth: Auth, tx: AsyncConnection) -> bool:
        """Delete a batch of what was never confirmed; whether more may be left."""
        ended = self.table.c.confirmed_at.is_(None) & (self.table.c.created_at <= auth.clock() - UNCONFIRMED)
        ids = list(await tx.scalars(select(self.table.c.user_id).where(ended).limit(BATCH)))
        await tx.execute(delete(self.table).where(self.table.c.user_id.in_(ids), ended))
        return len(ids) == BATCH

    async def exported(self, tx: AsyncConnection, user: User) -> Mapping[str, Any] | None:
        """What is held about the user, but for the seed."""
        row = await self._row(tx, self.table.c.user_id == user.id)
        if row is None:
            return None
        times = {name: row[name] and timestamp(row[name]) for name in ("created_at", "confirmed_at", "last_used_at")}
        return {**{name: row[name] for name in ("algorithm", "digits", "period")}, **times}

    def _confirmed(self, user: User) -> ColumnElement[bool]:
        return (self.table.c.user_id == user.id) & self.table.c.confirmed_at.is_not(None)

    def _waits(self, auth: Auth, user: User) -> ColumnElement[bool]:
        unconfirmed = (self.table.c.user_id == user.id) & self.table.c.confirmed_at.is_(None)
        return unconfirmed & (self.table.c.created_at > auth.clock() - UNCONFIRMED)


def _enrollment(row: RowMapping | None) -> Enrollment | None:
    if row is None:
        return None
    parameters = Parameters(row["algorithm"], row["digits"], row["period"])
    return Enrollment(row["user_id"], parameters, row["created_at"], row["confirmed_at"], row["seed"])

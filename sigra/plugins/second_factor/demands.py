"""Of whom a second factor is demanded: one row for whoever was chosen, or was met by a demand at a sign-in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Column, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db import UTCDateTime, user_ref
from sigra.models import User
from sigra.plugins.second_factor.shapes import Demand

ORDER = ("optional", "required", "always")
"""The weakest first."""


def strongest(said: Iterable[str | None]) -> Demand | None:
    """What holds of several demands; None when there is none.

    Raises:
        ValueError: One is no demand.
    """
    most = max((ORDER.index(one or ORDER[0]) for one in said), default=0)
    return cast(Demand, ORDER[most]) if most else None


@dataclass(frozen=True, slots=True)
class Noted:
    """What is known of a user.

    Args:
        demand: What an administrator chose for this one user.
        noticed_at: The first sign-in at which a demand was met, whoever made it; None when none holds.
    """

    demand: Demand | None = None
    noticed_at: datetime | None = None


class Demands:
    """The table `sigra_second_factor`. Whoever writes a row has locked its user."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_second_factor",
            metadata,
            user_ref(primary_key=True),
            Column("demand", String(16)),
            Column("noticed_at", UTCDateTime),
        )

    async def of(self, tx: AsyncConnection, user: User) -> Noted:
        """What is known of a user, which may be nothing."""
        query = select(self.table.c.demand, self.table.c.noticed_at).where(self.table.c.user_id == user.id)
        row = (await tx.execute(query)).first()
        return Noted() if row is None else Noted(row.demand, row.noticed_at)

    async def choose(self, tx: AsyncConnection, user: User, demand: Demand | None) -> None:
        """Demand it of one user, or no longer."""
        await self._write(tx, user, {"demand": demand})

    async def notice(self, tx: AsyncConnection, user: User, noted: Noted, at: datetime | None) -> None:
        """Note the first sign-in under a demand; with None, that there is no demand: a later one begins anew."""
        if (noted.noticed_at is None) != (at is None):
            await self._write(tx, user, {"noticed_at": at})

    async def _write(self, tx: AsyncConnection, user: User, values: Mapping[str, Any]) -> None:
        changed = await tx.execute(update(self.table).where(self.table.c.user_id == user.id).values(values))
        if not changed.rowcount:
            await tx.execute(insert(self.table).values({"user_id": user.id, **values}))

    async def end(self, tx: AsyncConnection, user: User) -> None:
        """Forget what is known of a user."""
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

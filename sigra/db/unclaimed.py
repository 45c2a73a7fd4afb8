"""Tables that a plugin has left behind: it was uninstalled, or switched off."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Inspector, LargeBinary, MetaData, Table, distinct, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.rotation import count_beginning
from sigra.db.schema import PREFIX, USERS, VERSIONS
from sigra.db.types import Id


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A table of ours that nobody active knows.

    Args:
        users: The column that points at an account; None when none does.
        binary: The columns that may hold sealed values.
    """

    name: str
    users: Column[uuid.UUID] | None
    binary: tuple[Column[bytes], ...]

    async def count_accounts(self, tx: AsyncConnection) -> int:
        """How many accounts have rows in it."""
        return 0 if self.users is None else int(await tx.scalar(select(func.count(distinct(self.users)))) or 0)

    async def accounts(self, tx: AsyncConnection, users: Table, limit: int) -> list[str]:
        """The first of them by address; by id where there is none."""
        if self.users is None:
            return []
        query = select(users.c.id, users.c.email).where(users.c.id.in_(select(self.users)))
        found = await tx.execute(query.order_by(users.c.email).limit(limit))
        return [email or str(id) for id, email in found]

    async def count_sealed(self, tx: AsyncConnection, headers: Sequence[bytes]) -> int:
        """How many values begin as the vault's do."""
        return sum([await count_beginning(tx, column, headers) for column in self.binary])


async def unclaimed(tx: AsyncConnection, metadata: MetaData) -> list[Unclaimed]:
    """The tables of ours that `metadata` does not know, by name."""
    return await tx.run_sync(_looked_for, metadata)


def _looked_for(connection: Connection, metadata: MetaData) -> list[Unclaimed]:
    inspector = inspect(connection)
    ours = [name for name in inspector.get_table_names() if name.startswith(PREFIX) and not name.startswith(VERSIONS)]
    return [_described(inspector, name) for name in sorted(ours) if name not in metadata.tables]


def _described(inspector: Inspector, name: str) -> Unclaimed:
    keys = [key for key in inspector.get_foreign_keys(name) if key["referred_table"] == USERS]
    pointing = Column(keys[0]["constrained_columns"][0], Id) if keys else None
    columns = inspector.get_columns(name)
    binary = [Column(its["name"], its["type"]) for its in columns if isinstance(its["type"], LargeBinary)]
    # On a MetaData of its own: it is known for as long as it is looked at.
    Table(name, MetaData(), *binary, *([] if pointing is None else [pointing]))
    return Unclaimed(name, pointing, tuple(binary))

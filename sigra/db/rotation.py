"""Sealing anew what lies under older keys, while the application reads and writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, LargeBinary, MetaData, Table, func, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.crypto import Vault
from sigra.db.engine import Database
from sigra.db.types import Sealed
from sigra.errors import ConfigurationError, SealBroken

BATCH = 100
"""Rows of a transaction: whoever writes one of them meanwhile waits for some milliseconds."""


def check_sealed(tables: Sequence[Table], owner: str) -> None:
    """Whether what is sealed in these tables can be found by a key of its own.

    Raises:
        ConfigurationError: A table with a `Sealed` column has no primary key, or one of several columns; names the
            owner.
    """
    for table in tables:
        if _sealed(table) and len(table.primary_key.columns) != 1:
            raise ConfigurationError(
                f"{owner} brings the table {table.name} with a Sealed column and a primary key of "
                f"{len(table.primary_key.columns)} columns: what is sealed is bound to its row by one, so give it one."
            )


async def sealed_columns(tx: AsyncConnection, metadata: MetaData) -> list[Column[Any]]:
    """Every `Sealed` column of tables that are there, in the order of their names.

    Raises:
        ConfigurationError: See `check_sealed`, for the host's own tables.
    """
    present = await tx.run_sync(lambda connection: inspect(connection).get_table_names())
    tables = sorted((table for table in metadata.tables.values() if table.name in present), key=lambda its: its.name)
    check_sealed(tables, "The application")
    return [column for table in tables for column in _sealed(table)]


async def count_others(tx: AsyncConnection, column: Column[Any], headers: Sequence[bytes]) -> int:
    """How many values begin otherwise than by one of these headers, which are of one length."""
    return await _count(tx, column, _header(column, headers[0]).not_in(headers))


async def count_beginning(tx: AsyncConnection, column: Column[Any], headers: Sequence[bytes]) -> int:
    """How many values begin by one of these headers; none when there are no headers."""
    return await _count(tx, column, _header(column, headers[0]).in_(headers)) if headers else 0


@dataclass(frozen=True, slots=True)
class _Value:
    """What is stored in a row."""

    id: Any
    old: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Seals one column anew, batch by batch, each in a transaction of its own: one that is stopped goes on later.

    Args:
        column: Of a table with one primary key column.
        broken: Told of each value that does not open; it stays as it is.
    """

    db: Database
    vault: Vault
    column: Column[Any]
    broken: Callable[[SealBroken], object]

    async def run(self) -> int:
        """Go through the table once, by its primary key; how many values were sealed anew.

        What others write meanwhile stays: their value, under the key that they know as the first.
        """
        count, values = 0, await self._batch(None)
        while values:
            renewed = [(value, new) for value in values if (new := self._renewed(value)) is not None]
            count += await self.db.transaction(partial(self._write, renewed))
            values = await self._batch(values[-1].id)
        return count

    async def _batch(self, last: object) -> list[_Value]:
        key = _key(self.column)
        others = _header(self.column, self.vault.first) != self.vault.first
        query = select(key, self.column).where(others).order_by(key).limit(BATCH)
        if last is not None:
            query = query.where(key > last)
        async with self.db.connect() as tx:
            return [_Value(id, bytes(sealed)) for id, sealed in await tx.execute(query)]

    def _renewed(self, value: _Value) -> bytes | None:
        try:
            return self.vault.seal(self.column, value.id, self.vault.open(self.column, value.id, value.old))
        except SealBroken as error:
            self.broken(error)
            return None

    async def _write(self, renewed: Sequence[tuple[_Value, bytes]], tx: AsyncConnection) -> int:
        count, key = 0, _key(self.column)
        for value, new in renewed:
            unchanged = update(self.column.table).where(key == value.id, self.column == value.old)
            count += (await tx.execute(unchanged.values({self.column: new}))).rowcount
        return count


async def _count(tx: AsyncConnection, column: Column[Any], which: ColumnElement[bool]) -> int:
    return int(await tx.scalar(select(func.count()).select_from(column.table).where(which)) or 0)


def _sealed(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, Sealed)]


def _key(column: Column[Any]) -> Column[Any]:
    [key] = column.table.primary_key.columns
    return key


def _header(column: Column[Any], like: bytes) -> ColumnElement[bytes]:
    """As many bytes of the value as a header has; NULL where nothing is sealed."""
    return func.substr(column, 1, len(like), type_=LargeBinary)

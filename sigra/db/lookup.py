"""The request path: who is behind a secret, in one statement that is built once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, select

from sigra.db.dialects.reading import Query
from sigra.db.engine import Database
from sigra.db.schema import USERS, user_column
from sigra.db.users import UserReader
from sigra.errors import ConfigurationError
from sigra.models import User


@dataclass(frozen=True, slots=True)
class Found:
    """The row behind a secret and the active user that it points at.

    Args:
        row: The columns of the look-up's table, by name; read-only.
    """

    user: User
    row: Mapping[str, Any] = field(repr=False)


class Lookup:
    """Finds the row with a secret's digest, joined with its user. A user who is not active has no rows.

    Nothing is kept between two look-ups: what was revoked before a request came is not found by it.

    Args:
        table: Has one column made by `user_ref()`.
        hash_column: The unique column of `table` that holds the digest.
        conditions: What else must hold of the row.

    Raises:
        ConfigurationError: The table does not point at a user by exactly one column made by `user_ref()`.
    """

    def __init__(self, table: Table, hash_column: Column[bytes], *conditions: ColumnElement[bool]) -> None:
        users = _users(table)
        self._names = tuple(column.name for column in table.columns)
        self._reader = UserReader(users)
        points = user_column(table)
        self._user = self._names.index(points.name)
        rows = (
            # The user's id is in the row already.
            select(*table.columns, *self._reader.columns[1:])
            .join_from(table, users, points == users.c.id)
            .where(users.c.status == "active", *conditions)
        )
        self._query = Query(rows, hash_column, self._names.index(hash_column.name))

    async def find(self, db: Database, digests: Sequence[bytes]) -> Found | None:
        """The row whose digest is one of `digests`, as `auth.tokens.digests` makes them; None for no such row.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        if not digests:
            return None
        values = await db.reader.find(self._query, digests)
        return None if values is None else self._found(values)

    def _found(self, values: Sequence[Any]) -> Found:
        width = len(self._names)
        row = dict(zip(self._names, values[:width], strict=True))
        return Found(self._reader.user([values[self._user], *values[width:]]), MappingProxyType(row))


def _users(table: Table) -> Table:
    if USERS not in table.metadata.tables:
        raise ConfigurationError(f"Table {table.name} is on a MetaData without users: make it in register_tables.")
    return table.metadata.tables[USERS]

"""The request path: who is behind a secret, in one statement that is built once."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Table, select

from sigra.db.dialects.reading import Query
from sigra.db.engine import Database
from sigra.db.schema import USERS, user_column
from sigra.db.users import UserReader
from sigra.errors import ConfigurationError
from sigra.models import User


class Found(NamedTuple):
    """The row behind a secret and the active user that it points at.

    Args:
        row: The columns of the look-up's table, by name; read-only.
    """

    user: User
    row: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Found(user={self.user!r})"  # a row has the digest of a secret


class Lookup:
    """Finds the row with a secret's digest, joined with its user. A user who is not active has no rows.

    Nothing is kept between two look-ups: what was revoked before a request came is not found by it.

    Args:
        table: Has one column made by `user_ref()`.
        hash_column: The unique column of `table` that holds the digest.
        conditions: What else must hold of the row.
        columns: What `Found.row` holds beside the two; all of the table's when omitted.

    Raises:
        ConfigurationError: The table does not point at a user by exactly one column made by `user_ref()`.
    """

    def __init__(
        self,
        table: Table,
        hash_column: Column[bytes],
        *conditions: ColumnElement[bool],
        columns: Sequence[Column[Any]] | None = None,
    ) -> None:
        users = _users(table)
        points = user_column(table)
        own = table.columns if columns is None else dict.fromkeys((hash_column, points, *columns))
        self._names = tuple(column.name for column in own)
        self._width = len(self._names)
        self._reader = UserReader(users)
        self._user = self._names.index(points.name)
        rows = (
            # The user's id is in the row already.
            select(*own, *self._reader.columns[1:])
            .join_from(table, users, points == users.c.id)
            .where(users.c.status == "active", *conditions)
        )
        self._query = Query(rows, hash_column, self._names.index(hash_column.name), self._found)

    def find(self, db: Database, digests: Sequence[bytes]) -> Awaitable[Found | None]:
        """The row whose digest is one of `digests`, as `auth.tokens.digests` makes them; None for no such row.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        return db.reader.find(self._query, digests)

    def _found(self, values: Sequence[Any]) -> Found:
        row = MappingProxyType(dict(zip(self._names, values, strict=False)))
        return Found(self._reader.user(values[self._user], *values[self._width :]), row)


def _users(table: Table) -> Table:
    if USERS not in table.metadata.tables:
        raise ConfigurationError(f"Table {table.name} is on a MetaData without users: make it in register_tables.")
    return table.metadata.tables[USERS]

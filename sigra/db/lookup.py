"""The request path: who is behind a secret, in one statement that is built once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar, overload

from sqlalchemy import Column, ColumnElement, Table, bindparam, select

from sigra.db.dialects.reading import Query, Row
from sigra.db.engine import Database
from sigra.db.schema import USERS, user_column
from sigra.db.types import UTCDateTime
from sigra.db.users import UserReader
from sigra.errors import ConfigurationError
from sigra.models import User

T = TypeVar("T")


def at_present(clock: Callable[[], datetime]) -> ColumnElement[datetime]:
    """The present moment of each statement, for its conditions.

    Args:
        clock: `auth.clock`.
    """
    return bindparam("at_present", callable_=clock, type_=UTCDateTime(), unique=True)


class Found(NamedTuple):
    """The row behind a secret and the active user that it points at.

    Args:
        row: The columns of the look-up's table, by name; read-only.
    """

    user: User
    row: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Found(user={self.user!r})"  # a row has the digest of a secret


class Lookup(Generic[T]):
    """Finds the row with a secret's digest, joined with its user. A user who is not active has no rows.

    Nothing is kept between two look-ups: what was revoked before a request came is not found by it.

    Args:
        table: Has one column made by `user_ref()`.
        hash_column: The unique column of `table` that holds the digest.
        conditions: What else must hold of the row.
        columns: What is read of it, when it is to be made into something else than `Found`.
        made: What makes it, of the user and the values of `columns` in their order.

    Raises:
        ConfigurationError: The table does not point at a user by exactly one column made by `user_ref()`.
    """

    @overload
    def __init__(
        self: Lookup[Found],
        table: Table,
        hash_column: Column[bytes],
        *conditions: ColumnElement[bool],
    ) -> None: ...

    @overload
    def __init__(
        self,
        table: Table,
        hash_column: Column[bytes],
        *conditions: ColumnElement[bool],
        columns: Sequence[ColumnElement[Any]],
        made: Callable[..., T],
    ) -> None: ...

    def __init__(
        self,
        table: Table,
        hash_column: Column[bytes],
        *conditions: ColumnElement[bool],
        columns: Sequence[ColumnElement[Any]] = (),
        made: Callable[..., Any] | None = None,
    ) -> None:
        users = _users(table)
        points = user_column(table)
        own = list(columns or table.columns)
        self._made: Callable[..., Any] = made or partial(_found, tuple(table.columns.keys()))
        reader = UserReader(users)
        self._user, self._own = reader.user, len(own)
        rows = (
            # The user's id is in the row already.
            select(*own, points, *reader.columns[1:], hash_column)
            .join_from(table, users, points == users.c.id)
            .where(users.c.status == "active", *conditions)
        )
        self._query = Query(rows, hash_column, -1, self._of_row)

    def find(self, db: Database, digests: Sequence[bytes]) -> Awaitable[T | None]:
        """What is behind the row whose digest is one of `digests`, as `auth.tokens.digests` makes them; None for none.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        return db.reader.find(self._query, digests)

    def _of_row(self, values: Row) -> T:
        made: T = self._made(self._user(*values[self._own : -1]), *values[: self._own])
        return made


def _found(names: Sequence[str], user: User, *values: Any) -> Found:
    return Found(user, MappingProxyType(dict(zip(names, values, strict=True))))


def _users(table: Table) -> Table:
    if USERS not in table.metadata.tables:
        raise ConfigurationError(f"Table {table.name} is on a MetaData without users: make it in register_tables.")
    return table.metadata.tables[USERS]

"""Look-ups on a connection that is held: what a dialect offers, and the way by SQLAlchemy that every driver knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import BindParameter, Column, ColumnElement, Dialect, Select, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Row = Sequence[Any]


@dataclass(frozen=True, eq=False, slots=True)
class Query:
    """A look-up by digest, before a database's own words for "one of these".

    Args:
        select: Everything but that condition.
        key: The column of the digest, which is among those selected.
        index: Where in a row it stands.
        made: What a row is made into for whoever asked.
    """

    select: Select[Any]
    key: Column[bytes]
    index: int
    made: Callable[[Row], Any]


class Reading(Protocol):
    """One connection for look-ups, in autocommit, opened by the first and again after `drop`."""

    @property
    def is_open(self) -> bool: ...

    @property
    def in_loop(self) -> bool:
        """Whether `rows_at_once` is worth a try."""
        ...

    def rows_at_once(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row] | None:
        """`rows` without waiting; None when that cannot be done."""
        ...

    async def rows(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row]:
        """The rows of these digests, as SQLAlchemy would return them.

        Args:
            digests: At least one, each once.

        Raises:
            Unavailable: The database cannot be reached.
        """
        ...

    async def drop(self) -> None:
        """Let go of a connection in an unknown state, without waiting for it."""
        ...

    async def close(self) -> None: ...


class PlainReading:
    """By SQLAlchemy."""

    in_loop = False

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._statements: dict[Query, Select[Any]] = {}

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    async def connection(self) -> AsyncConnection:
        """The connection that is held."""
        if self._connection is None:
            self._connection = await self._engine.connect()
        return self._connection

    def rows_at_once(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row] | None:
        return None

    async def rows(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row]:
        if query not in self._statements:
            wanted = query.key.in_(bindparam("digests", expanding=True))
            self._statements[query] = query.select.where(wanted)
        connection = await self.connection()
        result = await connection.execute(self._statements[query], {"digests": padded(digests)})
        rows: Sequence[Row] = result.all()
        return rows

    async def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # What is in an unknown state is not closed politely, which could wait for it.
            await connection.invalidate()
            await connection.close()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class Statement:
    """A query as text for a driver, and what stands between the driver's values and Python's.

    Args:
        wanted: The condition on the digests; its parameters are the last.
        parameters: How many they are.

    Raises:
        NotImplementedError: The query's own conditions have parameters that only SQLAlchemy can fill in.
    """

    def __init__(self, query: Query, wanted: ColumnElement[bool], parameters: int, dialect: Dialect) -> None:
        compiled = query.select.where(wanted).compile(dialect=dialect)
        self.text = str(compiled)
        self._given = [_filler(name, compiled, dialect) for name in (compiled.positiontup or ())[:-parameters]]
        self._types = [column.type for column in query.select.selected_columns]
        self._dialect = dialect

    def given(self) -> list[Any]:
        """The values of the parameters before the digests."""
        return [fill() for fill in self._given]

    def decoder(
        self, kinds: Sequence[Any], shortcuts: Mapping[type, Callable[[Any], Any] | None]
    ) -> Callable[[Sequence[Row]], Sequence[Row]]:
        """Turns the driver's rows into what SQLAlchemy would return.

        Args:
            kinds: The driver's name for each column's type, as in `cursor.description` (PEP 249).
            shortcuts: What does the same for a type of ours, quicker; None where nothing is to do.
        """
        found = [self._process(one, kind, shortcuts) for one, kind in zip(self._types, kinds, strict=True)]
        steps = [(index, process) for index, process in enumerate(found) if process is not None]

        def decode(rows: Sequence[Row]) -> Sequence[Row]:
            if not steps:
                return rows
            decoded = [list(row) for row in rows]
            for row in decoded:
                for index, process in steps:
                    row[index] = process(row[index])
            return decoded

        return decode

    def _process(self, one: TypeEngine[Any], kind: Any, shortcuts: Mapping[type, Callable[[Any], Any] | None]) -> Any:
        if type(one) in shortcuts:
            return shortcuts[type(one)]
        return one.dialect_impl(self._dialect).result_processor(self._dialect, kind)


def padded(digests: Sequence[bytes]) -> Sequence[bytes]:
    """Up to a power of two, so that the database sees few different statements."""
    missing = (1 << (len(digests) - 1).bit_length()) - len(digests)
    return [*digests, *[digests[-1]] * missing] if missing else digests


def _filler(name: str, compiled: SQLCompiler, dialect: Dialect) -> Callable[[], Any]:
    parameter: BindParameter[Any] | None = compiled.binds.get(name)
    if parameter is None or parameter.expanding:
        raise NotImplementedError(name)
    process = parameter.type.dialect_impl(dialect).bind_processor(dialect) or _unchanged
    if parameter.callable is None:
        value = process(parameter.value)
        return lambda: value
    return lambda: process(parameter.effective_value)


def _unchanged(value: Any) -> Any:
    return value

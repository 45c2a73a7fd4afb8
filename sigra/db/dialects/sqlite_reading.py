"""Look-ups in the event loop: SQLite answers sooner than a thread could be woken to ask it."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncEngine

from sigra.db.dialects.reading import PlainReading, Query, Row, Statement, padded
from sigra.db.types import Id, UTCDateTime

PRAGMAS = ("query_only=ON", f"mmap_size={1 << 30}")
"""Pages are read where the system has them, without a call for each (sqlite.org/mmap.html)."""


def moment(text: str | None) -> datetime | None:
    """What `UTCDateTime` wrote, in one step."""
    return None if text is None else datetime.fromisoformat(text + "+00:00")


def identifier(text: str | None) -> uuid.UUID | None:
    """What `Id` wrote."""
    return None if text is None else uuid.UUID(int=int(text, 16))


SHORTCUTS: Mapping[type, Callable[[Any], Any]] = MappingProxyType({UTCDateTime: moment, Id: identifier})


class SQLiteReading:
    """Reads in the loop and never waits there: what is locked, or fails, is left to SQLAlchemy in a thread."""

    in_loop = True

    def __init__(self, engine: AsyncEngine) -> None:
        self._plain = PlainReading(engine)
        self._dialect, self._url = engine.dialect, engine.url
        self._connection: sqlite3.Connection | None = None
        self._asks: dict[tuple[Query, int], Callable[[Sequence[bytes]], Sequence[Row]] | None] = {}

    @property
    def is_open(self) -> bool:
        return self._plain.is_open

    def rows_at_once(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row] | None:
        digests = padded(digests)
        kind = query, len(digests)
        try:
            if kind not in self._asks:
                self._asks[kind] = self._ask(*kind)
            ask = self._asks[kind]
            return None if ask is None else ask(digests)
        except Exception:  # noqa: BLE001  whatever it is, SQLAlchemy tells it to those who wait
            self._close()
            return None

    async def rows(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row]:
        return await self._plain.rows(query, digests)

    async def drop(self) -> None:
        await self._plain.drop()

    async def close(self) -> None:
        self._close()
        await self._plain.close()

    def _ask(self, query: Query, size: int) -> Callable[[Sequence[bytes]], Sequence[Row]] | None:
        """What asks for that many digests; None when only SQLAlchemy can."""
        wanted = query.key.in_([bindparam(f"digest_{number}", type_=query.key.type) for number in range(size)])
        try:
            statement = Statement(query, wanted, size, self._dialect)
        except NotImplementedError:
            return None
        # This driver does not tell the types of columns.
        decode = statement.decoder([None] * len(query.select.selected_columns), SHORTCUTS)
        cursor = self._opened().cursor()

        def ask(digests: Sequence[bytes]) -> Sequence[Row]:
            return decode(cursor.execute(statement.text, [*statement.given(), *digests]).fetchall())

        return ask

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            places, names = self._dialect.create_connect_args(self._url)
            options: dict[str, Any] = {**names, "timeout": 0, "isolation_level": None}
            self._connection = sqlite3.connect(places[0], **options)
            for pragma in PRAGMAS:
                self._connection.execute(f"PRAGMA {pragma}")
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._asks.clear()
        if connection is not None:
            connection.close()

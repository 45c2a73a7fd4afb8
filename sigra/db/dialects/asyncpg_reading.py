"""Look-ups by asyncpg itself: a statement prepared once on a connection that SQLAlchemy opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import ARRAY, any_, bindparam
from sqlalchemy.ext.asyncio import AsyncEngine

from sigra.db.dialects.reading import PlainReading, Query, Row, Statement
from sigra.db.types import UTCDateTime
from sigra.errors import Unavailable

SHORTCUTS: Mapping[type, None] = MappingProxyType({UTCDateTime: None})
"""The driver's times are in UTC as they come (asyncpg's documentation, "Type Conversion": timestamptz)."""


class AsyncpgReading:
    """Sends all digests as one array.

    Args:
        is_unavailable: Whether a driver's error says that the database cannot serve now.
    """

    in_loop = False

    def __init__(self, engine: AsyncEngine, is_unavailable: Callable[[Exception], bool]) -> None:
        self._plain = PlainReading(engine)
        self._dialect = engine.dialect
        self._is_unavailable = is_unavailable
        self._driver: Any = None
        self._prepared: dict[Query, Callable[[Sequence[bytes]], Any]] = {}

    @property
    def is_open(self) -> bool:
        return self._plain.is_open

    def rows_at_once(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row] | None:
        return None

    async def rows(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row]:
        ask = self._prepared.get(query) or await self._prepare(query)
        try:
            rows: Sequence[Row] = await ask(digests)
        except Exception as error:
            # The driver has errors of its own for what the server did not live to say.
            if self._is_unavailable(error) or (self._driver is not None and self._driver.is_closed()):
                raise Unavailable from error
            raise
        return rows

    async def drop(self) -> None:
        self._prepared.clear()
        await self._plain.drop()

    async def close(self) -> None:
        self._prepared.clear()
        await self._plain.close()

    async def _prepare(self, query: Query) -> Callable[[Sequence[bytes]], Any]:
        connection = await self._plain.connection()
        self._driver = (await connection.get_raw_connection()).driver_connection
        # Left to itself, it plans an array of another length anew and takes longer for that than for the rows.
        await self._driver.execute("SET plan_cache_mode = force_generic_plan")
        wanted = query.key == any_(bindparam("digests", type_=ARRAY(query.key.type)))
        try:
            statement = Statement(query, wanted, 1, self._dialect)
        except NotImplementedError:
            return self._keep(query, lambda digests: self._plain.rows(query, digests))
        prepared = await self._driver.prepare(statement.text)
        decode = statement.decoder([attribute.type.oid for attribute in prepared.get_attributes()], SHORTCUTS)

        async def ask(digests: Sequence[bytes]) -> Sequence[Row]:
            return decode(await prepared.fetch(*statement.given(), digests))

        return self._keep(query, ask)

    def _keep(self, query: Query, ask: Callable[[Sequence[bytes]], Any]) -> Callable[[Sequence[bytes]], Any]:
        self._prepared[query] = ask
        return ask

"""The database: transactions that are run again when it asks for that, reads, and what follows a commit."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, event, select
from sqlalchemy.engine import ExceptionContext, RowMapping
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sigra.db.dialects import PATIENCE, WRITING
from sigra.db.reader import Reader
from sigra.db.urls import dialect_for
from sigra.errors import Unavailable
from sigra.loops import PerLoop

T = TypeVar("T")

RETRIES = 3
LONGEST_PAUSE = 0.05
"""Seconds before the first retry, at most; twice that before the second, and so on."""

TIME_LIMIT = 10.0
"""Seconds for a transaction or a read as a whole; the next one is told to come back."""


class Repeat(Unavailable):
    """Raised where the driver's error is met when the database asks for the transaction to be run again.

    Being of Sigra's tree, it passes through the hooks of plugins as it is, and is 503 when nothing helps.
    """


class Database:
    """One engine and its pool.

    Args:
        url: An SQLAlchemy URL; without a driver it takes the installed async one.
        random: `n` random bytes, for pauses before retries.
        time_limit: Seconds for a transaction or a read.

    Raises:
        ConfigurationError: The URL is wrong or its driver is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self.dialect = dialect_for(url)
        self._random = random
        self._time_limit = time_limit
        self._engines = PerLoop(lambda: self._opened(pool_timeout=PATIENCE), _abandon)
        reading = self._opened(poolclass=NullPool).execution_options(isolation_level="AUTOCOMMIT")
        self.reader = Reader(partial(self.dialect.reading, reading))
        self._later: dict[AsyncConnection, list[Callable[[], object]]] = {}

    async def transaction(self, fn: Callable[[AsyncConnection], Awaitable[T]], *, patient: bool = False) -> T:
        """Run `fn(tx)` in one writing transaction, again (at most 3 times) when the database asks for a retry.

        Args:
            patient: As long as it takes; only for what an operator waits for, since others wait for its locks.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        for tries in range(1, RETRIES + 1):
            try:
                return await self._once(fn, patient)
            except Repeat:
                await asyncio.sleep(self._pause(tries))
        return await self._once(fn, patient)

    @property
    def _engine(self) -> AsyncEngine:
        """The engine of the running loop, and its pool."""
        return self._engines.get()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """`async with db.connect() as tx`: reads only.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        async with self._limited(), self._checked_out(self._engine) as tx:
            yield tx

    async def hold(self, tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> RowMapping:
        """The row whose key is in `values`, made of them unless it is there; nobody else changes it until the end.

        What is counted is read and written under it, one request after another.
        """
        [row] = await self.hold_all(tx, table, [values])
        return row

    async def hold_all(
        self, tx: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[RowMapping]:
        """The rows whose keys are in `rows`, as `hold` does, in the same order; no key is there twice."""
        [key] = table.primary_key.columns
        keys = [row[key.name] for row in rows]
        # In the order of their keys, whoever asks: so nobody waits for one who waits for him.
        wanted = sorted(rows, key=lambda row: row[key.name])
        query = select(table).where(key.in_(keys)).order_by(key).with_for_update()
        while True:
            await self.dialect.ensure(tx, table, wanted)
            found = {row[key.name]: row for row in (await tx.execute(query)).mappings()}
            if len(found) == len(keys):  # else one was deleted in between
                return [found[one] for one in keys]

    def after_commit(self, tx: AsyncConnection, callback: Callable[[], object]) -> None:
        """Call `callback` once `tx` is committed; never when it is rolled back or run again.

        Raises:
            LookupError: `tx` is not inside `transaction`.
        """
        if tx not in self._later:
            raise LookupError("after_commit needs the connection that transaction() gave, while it runs")
        self._later[tx].append(callback)

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """A writing transaction on a connection of its own, as long as it takes; no other process migrates beside.

        Raises:
            Unavailable: The database cannot be reached, or another process does not end migrating.
        """
        engine = self._opened(migrating=True, poolclass=NullPool, execution_options={WRITING: True})
        async with self.dialect.writing(), self._checked_out(engine) as tx, tx.begin():
            await self.dialect.before_migration(tx)
            yield tx
            await self.dialect.after_migration(tx)

    async def aclose(self) -> None:
        """Close every connection; a later use opens new ones."""
        await self.reader.aclose()
        engine = self._engines.pop()
        if engine is not None:
            await engine.dispose()

    def _opened(self, *, migrating: bool = False, **options: Any) -> AsyncEngine:
        # Addresses and digests do not belong into error reports.
        engine = create_async_engine(self.dialect.url, hide_parameters=True, **self.dialect.options, **options)
        self.dialect.prepare(engine, migrating=migrating)
        event.listen(engine.sync_engine, "handle_error", self._explain)
        event.listen(engine.sync_engine, "before_execute", _refuse_stray_writes)
        return engine

    async def _once(self, fn: Callable[[AsyncConnection], Awaitable[T]], patient: bool) -> T:
        callbacks: list[Callable[[], object]] = []
        limited, opened = self._limited(patient=patient), self._checked_out(self._engine, WRITING)
        async with self.dialect.writing(), limited, opened as tx, tx.begin():
            self._later[tx] = callbacks
            try:
                result = await fn(tx)
            finally:
                del self._later[tx]
        for callback in callbacks:
            callback()
        return result

    @asynccontextmanager
    async def _limited(self, *, patient: bool = False) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None if patient else self._time_limit) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Unavailable from error

    @asynccontextmanager
    async def _checked_out(self, engine: AsyncEngine, *options: str) -> AsyncIterator[AsyncConnection]:
        try:
            tx = await _to_the_end(engine.connect())
        except (PoolTimeout, OSError) as error:
            raise Unavailable from error
        try:
            if options:
                await tx.execution_options(**dict.fromkeys(options, True))
            yield tx
        finally:
            await asyncio.shield(tx.close())

    def _pause(self, tries: int) -> float:
        return tries * LONGEST_PAUSE * int.from_bytes(self._random(2), "big") / 0xFFFF

    def _explain(self, context: ExceptionContext) -> Unavailable | None:
        """Tell a database that cannot serve from a statement that is wrong, where the driver's error is met."""
        error = context.original_exception
        if not isinstance(error, Exception):
            return None
        if self.dialect.is_retryable(error):
            return Repeat(1)
        if isinstance(error, OSError | EOFError):
            context.is_disconnect = True
        connecting = context.connection is None
        if connecting or context.is_disconnect or self.dialect.is_unavailable(error):
            return Unavailable()
        return None


async def _to_the_end(connection: AsyncConnection) -> AsyncConnection:
    """The connection, opened; one that is cancelled meanwhile is opened to the end and closed, or it would be lost."""
    opening = asyncio.ensure_future(connection.start())
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait({opening})
        if opening.exception() is None:
            await connection.close()
        raise


def _abandon(engine: AsyncEngine) -> None:
    engine.sync_engine.dispose(close=False)


def _refuse_stray_writes(connection: Connection, statement: Any, *_: object) -> None:
    if getattr(statement, "is_dml", False) and not connection.get_execution_options().get(WRITING):
        raise RuntimeError("connect() is for reads: write inside transaction()")

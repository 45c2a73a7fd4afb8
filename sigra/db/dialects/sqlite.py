"""SQLite: the embedded default. Many read, one writes: writers queue instead of failing."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, Table, event, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sigra.db.dialects import PATIENCE, WRITING, Family
from sigra.db.dialects.writers import WriterQueue
from sigra.errors import ConfigurationError

UNAVAILABLE = frozenset({5, 6, 8, 10, 13, 14})
"""Primary codes: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN (sqlite.org/rescode.html)."""

PRAGMAS = (
    f"busy_timeout={int(PATIENCE * 1000)}",
    "journal_mode=WAL",
    "foreign_keys=ON",
)


class SQLite:
    """Write-ahead log, foreign keys on, every writing transaction `BEGIN IMMEDIATE` (a deferred one fails when it turns
    to writing while another writes)."""

    def __init__(self, url: URL) -> None:
        path = _path(url)
        if path is None:
            # Several connections to one database in memory would lock each other out, or share one transaction.
            path = _volatile(self) / "sigra.db"
            url = URL.create(url.drivername)
        if not _is_uri(url):
            url = url.set(database=str(path))
        self.url = url
        self.options: Mapping[str, Any] = {}
        self._queue = WriterQueue(path, PATIENCE)

    def prepare(self, engine: AsyncEngine) -> None:
        _prepare(engine, PRAGMAS)

    def is_retryable(self, error: Exception) -> bool:
        return False

    def is_unavailable(self, error: Exception) -> bool:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in UNAVAILABLE

    def writing(self) -> AbstractAsyncContextManager[None]:
        return self._queue.turn()

    async def insert_new(self, tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
        result = await tx.execute(insert(table).values(values).on_conflict_do_nothing())
        return result.rowcount == 1

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        engine = create_async_engine(self.url, poolclass=NullPool, execution_options={WRITING: True})
        # Batch mode makes a table anew and drops the old one, which would cascade; inside a transaction it is too late
        # to say so (sqlite.org/pragma.html#pragma_foreign_keys).
        _prepare(engine, (*PRAGMAS, "foreign_keys=OFF"))
        async with self._queue.turn(), engine.begin() as tx:
            yield tx
            await _check_foreign_keys(tx)


def _prepare(engine: AsyncEngine, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, record: object) -> None:
        # The driver's own idea of transactions leaves out SELECT and DDL.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(WRITING)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


async def _check_foreign_keys(tx: AsyncConnection) -> None:
    broken = (await tx.execute(text("PRAGMA foreign_key_check"))).first()
    if broken is not None:
        raise ConfigurationError(
            f"Table {broken[0]} has rows that point at rows of {broken[2]} that do not exist: "
            f"the migration was undone. Repair them (PRAGMA foreign_key_check lists them) and repeat it."
        )


def _is_uri(url: URL) -> bool:
    return (url.database or "").startswith("file:")


def _path(url: URL) -> Path | None:
    """Where the database is, absolute, so that a change of directory does not change it; None for one in memory."""
    database = url.database or ""
    if database in ("", ":memory:", "file::memory:") or url.query.get("mode") == "memory":
        return None
    return Path(unquote(urlsplit(database).path) if _is_uri(url) else database).absolute()


def _volatile(owner: object) -> Path:
    """A folder that only we can read and that ends with its owner; in memory where the system has such a place."""
    folder = tempfile.mkdtemp(prefix="sigra-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


FAMILY = Family({"sqlite": "sqlite"}, {"aiosqlite": "sqlite"}, SQLite)

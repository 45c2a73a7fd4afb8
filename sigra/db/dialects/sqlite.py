"""SQLite: the embedded default. Many read, one writes: writers queue instead of failing."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, Table, event, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sigra.db.dialects import PATIENCE, WRITING, Family
from sigra.db.dialects.reading import Reading
from sigra.db.dialects.sqlite_reading import SQLiteReading
from sigra.db.dialects.writers import WriterQueue
from sigra.errors import ConfigurationError

UNAVAILABLE = frozenset({5, 6, 8, 10, 13, 14})
"""Primary codes: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN (sqlite.org/rescode.html)."""

PRAGMAS = (f"busy_timeout={int(PATIENCE * 1000)}", "journal_mode=WAL")


MEMORY = Path("/dev/shm")  # noqa: S108  mkdtemp makes a folder of our own in it


class SQLite:
    """Write-ahead log, foreign keys on, every writing transaction `BEGIN IMMEDIATE`.

    A deferred one fails at once when it turns to writing while another writes (sqlite.org/lang_transaction.html).
    """

    def __init__(self, url: URL) -> None:
        path = _path(url)
        if path is None:
            # Several connections to one database in memory would lock each other out, or share one transaction.
            path = _volatile(self) / "sigra.db"
            url = URL.create(url.drivername)
        if not path.parent.is_dir():
            raise ConfigurationError(f"SIGRA_DATABASE_URL: the folder {path.parent} does not exist; make it first.")
        if not _is_uri(url):
            url = url.set(database=str(path))
        self.url = url
        self.options: Mapping[str, Any] = {}
        self._path = path
        self._queue = WriterQueue(path, PATIENCE)

    def prepare(self, engine: AsyncEngine, *, migrating: bool) -> None:
        # Batch mode makes a table anew and drops the old one, which would cascade; inside a transaction it is too late
        # to say so (sqlite.org/pragma.html#pragma_foreign_keys).
        pragmas = (*PRAGMAS, f"foreign_keys={'OFF' if migrating else 'ON'}")

        def set_pragmas(connection: Any, _: object) -> None:
            # The driver's own idea of transactions leaves out SELECT and DDL.
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        if not _is_uri(self.url):
            event.listen(engine.sync_engine, "do_connect", lambda *_: _make_private(self._path))
        event.listen(engine.sync_engine, "connect", set_pragmas)
        event.listen(engine.sync_engine, "begin", _begin)

    def is_retryable(self, error: Exception) -> bool:
        return False

    def is_unavailable(self, error: Exception) -> bool:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in UNAVAILABLE

    def writing(self) -> AbstractAsyncContextManager[None]:
        return self._queue.turn()

    def reading(self, engine: AsyncEngine) -> Reading:
        return SQLiteReading(engine)

    async def insert_new(self, tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
        statement = insert(table).values(values).on_conflict_do_nothing()
        # Without this SQLAlchemy leaves the count of an INSERT to the driver's mood.
        result = await tx.execute(statement.execution_options(preserve_rowcount=True))
        return result.rowcount == 1

    async def ensure(self, tx: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        await tx.execute(insert(table).on_conflict_do_nothing(), [*rows])

    def grants(self, role: str, rights: Mapping[str, Sequence[str]]) -> Sequence[str]:
        raise ConfigurationError(
            "SIGRA_DATABASE_URL: SQLite knows no roles, whoever can write the file can change all of it: "
            "use PostgreSQL or MariaDB where the application is to be kept from that."
        )

    async def may_rewrite(self, tx: AsyncConnection, table: Table) -> bool:
        return False

    async def before_migration(self, tx: AsyncConnection) -> None:
        """Nothing: a writer has the file to itself."""

    async def after_migration(self, tx: AsyncConnection) -> None:
        broken = (await tx.execute(text("PRAGMA foreign_key_check"))).first()
        if broken is not None:
            raise ConfigurationError(
                f"Table {broken[0]} has rows that point at rows of {broken[2]} that do not exist: "
                f"the migration was undone. Repair them (PRAGMA foreign_key_check lists them) and repeat it."
            )


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITING) else "BEGIN")


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, who would let everybody read it; its companions get the same mode."""
    if not path.exists():
        with suppress(OSError):  # SQLite, which meets it next, says what is wrong
            path.touch(mode=0o660)


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
    folder = tempfile.mkdtemp(prefix="sigra-", dir=MEMORY if MEMORY.is_dir() else None)
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


FAMILY = Family({"sqlite": "sqlite"}, {"aiosqlite": "sqlite"}, SQLite)

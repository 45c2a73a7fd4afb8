"""PostgreSQL: the primary database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sigra.db.dialects import PATIENCE, Family
from sigra.db.dialects.asyncpg_reading import AsyncpgReading
from sigra.db.dialects.reading import PlainReading, Reading

RETRYABLE = frozenset({"40001", "40P01"})
"""serialization_failure, deadlock_detected (PostgreSQL, appendix A)."""

UNAVAILABLE = ("08", "53", "57", "58", "55P03", "25006", "25P03", "25P04")
"""Connection, resources, operator intervention (a cancelled statement is one), system; lock not available, read-only
transaction (a standby), idle and transaction time-outs."""

MIGRATION_LOCK = 0x5369677261
"""The advisory lock of migrations: "Sigra" in ASCII."""


class PostgreSQL:
    """READ COMMITTED, by asyncpg or psycopg."""

    def __init__(self, url: URL) -> None:
        self.url = _with_ssl(url)
        timeout = "timeout" if url.get_driver_name() == "asyncpg" else "connect_timeout"
        self.options: Mapping[str, Any] = {
            "isolation_level": "READ COMMITTED",
            "connect_args": {timeout: int(PATIENCE)},
        }

    def prepare(self, engine: AsyncEngine, *, migrating: bool) -> None:
        """Nothing: the options say it all."""

    def is_retryable(self, error: Exception) -> bool:
        return _state(error) in RETRYABLE

    def is_unavailable(self, error: Exception) -> bool:
        return _state(error).startswith(UNAVAILABLE)

    def writing(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def reading(self, engine: AsyncEngine) -> Reading:
        # Who switches the driver's prepared statements off has a pooler between that cannot keep them.
        prepares = self.url.get_driver_name() == "asyncpg" and "prepared_statement_cache_size" not in self.url.query
        return AsyncpgReading(engine, self.is_unavailable) if prepares else PlainReading(engine)

    async def insert_new(self, tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
        statement = insert(table).values(values).on_conflict_do_nothing()
        # Without this SQLAlchemy leaves the count of an INSERT to the driver's mood.
        result = await tx.execute(statement.execution_options(preserve_rowcount=True))
        return result.rowcount == 1

    async def ensure(self, tx: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        await tx.execute(insert(table).on_conflict_do_nothing(), [*rows])

    def grants(self, role: str, rights: Mapping[str, Sequence[str]]) -> Sequence[str]:
        who = _quoted(role)
        statements = [f"GRANT USAGE ON SCHEMA public TO {who};"]
        for name, its in rights.items():
            statements.append(f"REVOKE ALL ON TABLE {_quoted(name)} FROM PUBLIC, {who};")
            statements.append(f"GRANT {', '.join(its)} ON TABLE {_quoted(name)} TO {who};")
        return statements

    async def may_rewrite(self, tx: AsyncConnection, table: Table) -> bool:
        # Any one of the rights is enough; an owner has them all (PostgreSQL, section 9.27).
        asked = text("SELECT has_table_privilege(:name, 'UPDATE, DELETE, TRUNCATE')")
        return bool(await tx.scalar(asked, {"name": _quoted(table.name)}))

    async def before_migration(self, tx: AsyncConnection) -> None:
        await tx.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))

    async def after_migration(self, tx: AsyncConnection) -> None:
        """Nothing: the database kept its foreign keys throughout."""


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _with_ssl(url: URL) -> URL:
    """`sslmode=`, as hosting providers write it, by asyncpg's name."""
    if url.get_driver_name() != "asyncpg" or "sslmode" not in url.query:
        return url
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})


def _state(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or "")


FAMILY = Family(
    {"postgresql": "postgresql", "postgres": "postgresql"},
    {"asyncpg": "postgresql", "psycopg": "psycopg"},
    PostgreSQL,
)

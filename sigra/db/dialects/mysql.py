"""MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from sqlalchemy import Table, insert, text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sigra.db.dialects import PATIENCE, Family
from sigra.db.dialects.reading import PlainReading, Reading
from sigra.errors import Unavailable

RETRYABLE = frozenset({1213, 1205, 1020})
"""ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT, ER_CHECKREAD (MariaDB, record changed since last read)."""

UNAVAILABLE = frozenset({1040, 1053, 1203, 1290, 1317, 1792, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024})
"""Too many connections, shutdown, read-only server, statement or connection killed or timed out, server gone."""

DUPLICATE = 1062

DENIED = frozenset({1142, 1143})
"""ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR."""

MIGRATION_LOCK = "concat('sigra.', database())"
"""The name of the lock of migrations; these locks are the server's, not the database's."""

MIGRATION_PATIENCE = 60

SESSION = (
    # A lax server would cut what is too long, and two addresses could become one.
    f"SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), innodb_lock_wait_timeout = {int(PATIENCE)}"
)


class MySQL:
    """READ COMMITTED: under REPEATABLE READ "a new one ends the old one" deadlocks on gaps."""

    def __init__(self, url: URL) -> None:
        self.url = url if "charset" in url.query else url.update_query_dict({"charset": "utf8mb4"})
        self.options: Mapping[str, Any] = {
            "isolation_level": "READ COMMITTED",
            "connect_args": {"connect_timeout": int(PATIENCE), "init_command": SESSION},
            # The server drops connections that idle for wait_timeout, eight hours unless set lower.
            "pool_recycle": 1800,
        }

    def prepare(self, engine: AsyncEngine, *, migrating: bool) -> None:
        """Nothing: the options say it all."""

    def is_retryable(self, error: Exception) -> bool:
        return _code(error) in RETRYABLE

    def is_unavailable(self, error: Exception) -> bool:
        return _code(error) in UNAVAILABLE

    def writing(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def reading(self, engine: AsyncEngine) -> Reading:
        return PlainReading(engine)

    async def insert_new(self, tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
        # INSERT IGNORE would swallow other errors too; here a refused row leaves the transaction as it was.
        try:
            await tx.execute(insert(table).values(values))
        except IntegrityError as error:
            if _code(error.orig) != DUPLICATE:
                raise
            return False
        return True

    async def ensure(self, tx: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        # A plain INSERT that finds the key takes a shared lock: two of them, who then want the row, are a deadlock.
        key = table.primary_key.columns[0]
        await tx.execute(mysql.insert(table).on_duplicate_key_update({key.name: key}), [*rows])

    def grants(self, role: str, rights: Mapping[str, Sequence[str]]) -> Sequence[str]:
        name, _, host = role.partition("@")
        who = f"{_text(name)}@{_text(host or '%')}"
        database = _quoted(self.url.database or "")
        # Rights on a database are added to those on its tables: only a user without them is kept from anything.
        return [
            f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {who};",
            *(f"GRANT {', '.join(its)} ON {database}.{_quoted(table)} TO {who};" for table, its in rights.items()),
        ]

    async def may_rewrite(self, tx: AsyncConnection, table: Table) -> bool:
        # What a role may do is spread over five tables and other roles: the server tells by refusing to do nothing.
        name, column = _quoted(table.name), _quoted(table.columns.keys()[0])
        deletes = f"DELETE FROM {name} WHERE 1 = 0"  # noqa: S608  (a table of ours)
        changes = f"UPDATE {name} SET {column} = {column} WHERE 1 = 0"  # noqa: S608
        return await _is_allowed(tx, deletes) or await _is_allowed(tx, changes)

    async def before_migration(self, tx: AsyncConnection) -> None:
        # Held until the connection closes: a transaction ends with the first change of a table.
        if not await tx.scalar(text(f"SELECT GET_LOCK({MIGRATION_LOCK}, {MIGRATION_PATIENCE})")):
            raise Unavailable(detail="Another process is migrating the database.")

    async def after_migration(self, tx: AsyncConnection) -> None:
        """Nothing: the database kept its foreign keys throughout."""


async def _is_allowed(tx: AsyncConnection, statement: str) -> bool:
    try:
        await tx.exec_driver_sql(statement)
    except DBAPIError as error:
        if _code(error.orig) not in DENIED:
            raise
        return False
    return True


def _quoted(name: str) -> str:
    return "`{}`".format(name.replace("`", "``"))


def _text(text: str) -> str:
    return "'{}'".format(text.replace("\\", "\\\\").replace("'", "''"))


def _code(error: BaseException | None) -> object:
    return error.args[0] if error is not None and error.args else None


FAMILY = Family({"mysql": "mysql", "mariadb": "mariadb"}, {"asyncmy": "mysql"}, MySQL)

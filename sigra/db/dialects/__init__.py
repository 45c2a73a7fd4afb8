"""Where databases differ: locks, isolation, error codes, upserts. Nothing outside this folder asks which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Table
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sigra.db.dialects.reading import Reading

WRITING = "sigra_writing"
"""The execution option of connections that may write."""

PATIENCE = 5.0
"""Seconds to wait for a connection, a lock, or a turn to write."""


class Dialect(Protocol):
    """One database, as the engine sees it."""

    @property
    def url(self) -> URL: ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Arguments of `create_async_engine`."""
        ...

    def prepare(self, engine: AsyncEngine, *, migrating: bool) -> None:
        """Add what every connection of the engine needs."""
        ...

    def is_retryable(self, error: Exception) -> bool:
        """Whether a driver's error asks for the transaction to be run again."""
        ...

    def is_unavailable(self, error: Exception) -> bool:
        """Whether a driver's error says that the database cannot serve now, though the connection holds."""
        ...

    def writing(self) -> AbstractAsyncContextManager[None]:
        """A turn to write."""
        ...

    def reading(self, engine: AsyncEngine) -> Reading:
        """A connection for look-ups, opened by the engine or as the engine would."""
        ...

    async def insert_new(self, tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
        """Insert a row; False, with the transaction intact, when a unique column has the value already."""
        ...

    async def ensure(self, tx: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows whose keys are not there, in a way that those who do it at once do not fail on each other."""
        ...

    def grants(self, role: str, rights: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """Statements that give a role these rights on these tables, by name, and no others on them.

        Raises:
            ConfigurationError: The database knows no roles.
        """
        ...

    async def may_rewrite(self, tx: AsyncConnection, table: Table) -> bool:
        """Whether the connection's own role may change or delete rows, where it could be kept from that."""
        ...

    async def before_migration(self, tx: AsyncConnection) -> None:
        """Wait until no other process migrates.

        Raises:
            Unavailable: It takes too long.
        """
        ...

    async def after_migration(self, tx: AsyncConnection) -> None:
        """Look at what was done, before it is committed.

        Raises:
            ConfigurationError: Rows point at rows that do not exist.
        """
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """How a dialect is named in URLs.

    Args:
        names: What people write, and SQLAlchemy's name for it.
        drivers: The async drivers, the best first, and the extra that installs each.
        dialect: Makes the dialect from a URL with a driver.
    """

    names: Mapping[str, str]
    drivers: Mapping[str, str]
    dialect: Callable[[URL], Dialect]

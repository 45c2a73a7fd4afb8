"""What a test needs to be there before it begins: tables, users, keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, MetaData, inspect
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.core import Sigra
from sigra.db.migrations import upgrade
from sigra.models import User
from sigra.plugins.api_keys import APIKeys, NewKey
from sigra.plugins.password import Password
from sigra.protocols import Plugin
from sigra.settings import Settings
from sigra.testing.clock import FrozenClock
from sigra.testing.making import making

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery staple"  # noqa: S105  (everybody's test password)


@asynccontextmanager
async def installation(
    settings: Settings,
    plugins: Sequence[str | Plugin] | None = None,
    *,
    metadata: MetaData | None = None,
    clock: Callable[[], datetime] | None = None,
) -> AsyncIterator[Sigra]:
    """A `Sigra`, started, its tables made and empty; ended with the block."""
    auth = Sigra(settings, plugins, metadata=metadata, clock=clock or FrozenClock())
    await create_tables(auth)
    async with auth:
        yield auth


async def create_tables(auth: Sigra) -> None:
    """Make every table of an installation as it is declared, without its migrations: quick, for an empty database."""
    await auth.db.transaction(lambda tx: tx.run_sync(_create, auth.metadata))


def _create(connection: Connection, metadata: MetaData) -> None:
    if inspect(connection).get_table_names():
        metadata.create_all(connection)
        return
    statements = [one for table in metadata.sorted_tables for one in making(connection.dialect, table)]
    if connection.dialect.name == "sqlite":
        # At once: each by itself goes to the driver's thread and back. A script ends the transaction that is open.
        script = ";".join([*statements, "BEGIN IMMEDIATE"])
        driver: Any = connection.connection.dbapi_connection
        driver.run_async(lambda its: its.executescript(script))
        return
    for statement in statements:
        connection.exec_driver_sql(statement)


async def migrate(auth: Sigra) -> None:
    """Make every table of an installation by its migrations, as `sigra db upgrade` does."""
    await upgrade(auth.db, auth.lineages())


async def make_user(
    auth: Sigra,
    email: str | None = EMAIL,
    password: str | None = PASSWORD,
    *,
    email_verified: bool = True,
    name: str | None = None,
) -> User:
    """Make an account.

    Args:
        password: None for an account without one.

    Raises:
        LookupError: It shall have a password, and the password plugin is not active.
    """
    hash = None if password is None else await auth.hasher.hash(password)

    async def make(tx: AsyncConnection) -> User:
        user = await auth.users.create(tx, email=email, email_verified=email_verified, name=name)
        if hash is not None:
            await auth.plugin(Password).set(auth, tx, user, hash)
        return user

    return await auth.db.transaction(make)


async def make_api_key(auth: Sigra, user: User, *scopes: str, name: str = "test") -> str:
    """Make an API key, and return its text."""
    wanted = NewKey(name=name, scopes=list(scopes))
    key, _ = await auth.db.transaction(lambda tx: auth.plugin(APIKeys).make(auth, user, wanted, tx))
    return key

"""A database with the core's tables, and what stands on it."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.crypto import KeyRing
from sigra.db import Database
from sigra.db.schema import CoreTables, core_tables
from sigra.db.single_use import SingleUseTokens
from sigra.db.users import UserTable
from sigra.events import Event

KEYS = ("k" * 32, "old" * 11)


@dataclass
class Clock:
    now: datetime = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class Recorder:
    events: list[Event] = field(default_factory=list)

    async def __call__(self, _: AsyncConnection, event: Event) -> None:
        self.events.append(event)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emitted() -> Recorder:
    return Recorder()


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    db = Database(database)
    yield db
    await db.aclose()
    await threads_ended()


@pytest.fixture
async def tables(db: Database) -> CoreTables:
    metadata = MetaData()
    tables = core_tables(metadata)
    await create_all(db, metadata)
    return tables


@pytest.fixture
def users(tables: CoreTables, db: Database, clock: Clock, emitted: Recorder) -> UserTable:
    return UserTable(tables.users, db, clock=clock, random=secrets.token_bytes, emit=emitted)


@pytest.fixture
def tokens(tables: CoreTables, clock: Clock) -> SingleUseTokens:
    return SingleUseTokens(tables.tokens, KeyRing(KEYS), clock=clock, random=secrets.token_bytes)


async def create_all(db: Database, metadata: MetaData) -> None:
    async with db.migrating() as tx:
        await tx.run_sync(metadata.create_all)


async def threads_ended() -> None:
    """Keep the event loop until SQLite's driver has told it that connections which were given up are closed."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5)

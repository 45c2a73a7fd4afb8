"""A client of an application whose record is sealed when the test says so."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from sigra.testing import Client
from sigra_audit import Audit
from sigra_audit.entries import Entry, entry_of
from tests.apps import Postbox, running

LATER = timedelta(seconds=30)


@dataclass
class Room:
    """A client, and the record behind it."""

    client: Client
    audit: Audit
    postbox: Postbox

    @property
    def auth(self) -> Any:
        return self.client.sigra

    async def seal(self) -> int:
        return await self.audit.sealer.seal()

    async def verify(self, *args: Any) -> Any:
        return await self.audit.verifier.verify(*args)

    async def rows(self, table: str = "sigra_audit") -> list[dict[str, Any]]:
        its = self.auth.metadata.tables[table]
        async with self.auth.db.connect() as tx:
            return [dict(row) for row in (await tx.execute(select(its).order_by(*its.primary_key.columns))).mappings()]

    async def entries(self) -> list[Entry]:
        return [entry_of(row) for row in await self.rows()]

    async def names(self) -> list[str]:
        return [entry.name for entry in await self.entries()]

    async def execute(self, statement: Any) -> None:
        await self.auth.db.transaction(lambda tx: tx.execute(statement))

    async def emit(self, *events: Any) -> None:
        for event in events:
            await self.auth.db.transaction(lambda tx, event=event: self.auth.emit(tx, event))


@pytest.fixture
def room() -> Callable[..., AbstractAsyncContextManager[Room]]:
    """`async with room(database, *plugins, **options of Audit) as here`."""

    @asynccontextmanager
    async def open_room(
        database: str, *plugins: Any, settings: dict[str, Any] | None = None, clock: Any = None, **options: Any
    ) -> AsyncIterator[Room]:
        audit, postbox = Audit(**{"seal_after": LATER, **options}), Postbox()
        chosen = ["defaults", *plugins, postbox, audit]
        async with running(database, chosen, clock=clock, jobs_due=True, **(settings or {})) as client:
            yield Room(client, audit, postbox)

    return open_room

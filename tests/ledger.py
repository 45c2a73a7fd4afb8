"""A test plugin that writes every event down in the transaction of its fact, as an audit log does."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Event, hookimpl


class Ledger:
    """One row an event."""

    name = "ledger"
    api = 1

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_ledger",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("name", String(64), nullable=False),
            Column("session_id", String(36)),
        )
        return [self.table]

    @hookimpl
    async def record_event(self, tx: AsyncConnection, event: Event) -> None:
        session_id = None if event.session_id is None else str(event.session_id)
        await tx.execute(insert(self.table).values(name=event.name, session_id=session_id))

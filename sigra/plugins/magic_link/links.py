"""What browsers asked for: rows of `sigra_magic_links`, one for each request, whether or not it has an account."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Boolean, Column, ColumnElement, MetaData, String, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.addresses import MAXIMUM_LENGTH, canonical_email
from sigra.db import Digest, ExactText, Id, UTCDateTime, delete_batch
from sigra.models import User

NEXT_LENGTH = 2048


class Link(NamedTuple):
    """What one browser asked for.

    Args:
        email: The canonical address; None for a text that is none.
        next: Where the browser goes afterwards, as it was asked for.
    """

    id: uuid.UUID
    email: str | None
    remember: bool
    next: str | None


class Links:
    """The table."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_magic_links",
            metadata,
            Column("id", Id(), primary_key=True),
            Column("email_canonical", ExactText(MAXIMUM_LENGTH), index=True),
            Column("browser_digest", Digest(), nullable=False, unique=True),
            Column("remember", Boolean, nullable=False),
            Column("next", String(NEXT_LENGTH)),
            Column("created_at", UTCDateTime, nullable=False),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
        )

    async def add(self, tx: AsyncConnection, link: Link, digest: bytes, now: datetime, end: datetime) -> None:
        """Keep one, for the browser whose secret has the digest."""
        values = {
            "id": link.id,
            "email_canonical": link.email,
            "browser_digest": digest,
            "remember": link.remember,
            "next": link.next,
            "created_at": now,
            "expires_at": end,
        }
        await tx.execute(insert(self.table).values(values))

    async def of_browser(self, tx: AsyncConnection, digests: Sequence[bytes], now: datetime) -> Link | None:
        """What the browser with that secret asked for, while it may be used."""
        table = self.table
        statement = select(table.c.id, table.c.email_canonical, table.c.remember, table.c.next)
        live = table.c.browser_digest.in_(digests), table.c.expires_at > now
        row = (await tx.execute(statement.where(*live))).first()
        return None if row is None else Link(*row)

    async def end(self, tx: AsyncConnection, link: Link) -> None:
        """Delete one that was used."""
        await tx.execute(delete(self.table).where(self.table.c.id == link.id))

    async def times(self, tx: AsyncConnection, user: User) -> list[tuple[datetime, datetime]]:
        """From when to when each link of a user's address may be used."""
        columns = self.table.c.created_at, self.table.c.expires_at
        return [(made, end) for made, end in await tx.execute(select(*columns).where(self._of(user)))]

    async def erase(self, tx: AsyncConnection, user: User) -> None:
        """Delete those of a user's address."""
        await tx.execute(delete(self.table).where(self._of(user)))

    async def sweep(self, tx: AsyncConnection, now: datetime) -> bool:
        """Delete a batch of those whose time is over; whether more may be left."""
        return await delete_batch(tx, self.table, self.table.c.expires_at <= now)

    def _of(self, user: User) -> ColumnElement[bool]:
        return self.table.c.email_canonical.in_([canonical_email(user.email)] if user.email else [])

"""Sign-ups that wait for the proof of their address: rows of `sigra_signups`, which are no accounts.

Any number may wait for one address, side by side. None of them is in the way of another, nor of the address's owner.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, MetaData, String, Table, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.addresses import MAXIMUM_LENGTH
from sigra.db import Digest, ExactText, Id, JSONText, UTCDateTime, delete_batch, user_ref

NEXT_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class PendingSignUp:
    """What somebody asked for who typed an address.

    Args:
        email: As typed; mail goes there.
        fields: The application's own, as JSON values.
        next: Where the person wanted to go; checked where it is used.
        browser_digest: Of the secret that the browser got which signed up.
        user_id: The account that was made of it before the address was proven.
        expires_at: UTC.
    """

    id: uuid.UUID
    email: str = field(repr=False)
    email_canonical: str = field(repr=False)
    password_hash: str | None = field(repr=False)
    name: str | None = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)
    next: str | None
    browser_digest: bytes = field(repr=False)
    user_id: uuid.UUID | None
    created_at: datetime
    expires_at: datetime


class PendingSignUps:
    """The table."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_signups",
            metadata,
            Column("id", Id, primary_key=True),
            Column("email", String(MAXIMUM_LENGTH), nullable=False),
            Column("email_canonical", ExactText(MAXIMUM_LENGTH), nullable=False, index=True),
            Column("password_hash", String(255)),
            Column("name", String(200)),
            Column("fields", JSONText, nullable=False),
            Column("next", String(NEXT_LENGTH)),
            Column("browser_digest", Digest, nullable=False, unique=True),
            user_ref(nullable=True),
            Column("created_at", UTCDateTime, nullable=False),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
        )

    async def add(self, tx: AsyncConnection, sign_up: PendingSignUp) -> None:
        """Keep one."""
        values = {column.name: getattr(sign_up, column.name) for column in self.table.columns}
        await tx.execute(insert(self.table).values({**values, "fields": dict(sign_up.fields)}))

    async def newest(self, tx: AsyncConnection, canonical: str, now: datetime, count: int) -> list[PendingSignUp]:
        """Those that live and wait for an address, the newest first."""
        newest = self.table.c.created_at.desc(), self.table.c.id.desc()
        live = self.table.c.email_canonical == canonical, self.table.c.expires_at > now
        rows = await tx.execute(select(self.table).where(*live).order_by(*newest).limit(count))
        return [PendingSignUp(**row) for row in rows.mappings()]

    async def of_browser(
        self, tx: AsyncConnection, digests: Sequence[bytes], now: datetime, canonical: str | None = None
    ) -> PendingSignUp | None:
        """The one that a browser's secret was given for, while it lives.

        Args:
            canonical: Only when it waits for this address.
        """
        conditions: list[ColumnElement[bool]] = [
            self.table.c.browser_digest.in_(digests),
            self.table.c.expires_at > now,
        ]
        if canonical is not None:
            conditions.append(self.table.c.email_canonical == canonical)
        row = (await tx.execute(select(self.table).where(*conditions))).mappings().first()
        return None if row is None else PendingSignUp(**row)

    async def again(self, tx: AsyncConnection, sign_up: PendingSignUp, now: datetime) -> PendingSignUp | None:
        """The same as of now, when a transaction is about to act on it; None when it waits no more."""
        live = self.table.c.id == sign_up.id, self.table.c.expires_at > now
        row = (await tx.execute(select(self.table).where(*live))).mappings().first()
        return None if row is None else PendingSignUp(**row)

    async def made(self, tx: AsyncConnection, sign_up: PendingSignUp, user_id: uuid.UUID) -> None:
        """Note the account that was made of it."""
        await tx.execute(update(self.table).where(self.table.c.id == sign_up.id).values(user_id=user_id))

    async def end(self, tx: AsyncConnection, canonical: str, user_id: uuid.UUID | None = None) -> None:
        """End all that wait for an address, or have become an account."""
        chosen = [self.table.c.email_canonical == canonical]
        if user_id is not None:
            chosen.append(self.table.c.user_id == user_id)
        await tx.execute(delete(self.table).where(or_(*chosen)))

    async def end_of_user(self, tx: AsyncConnection, user_id: uuid.UUID) -> None:
        """End those that have become an account."""
        await tx.execute(delete(self.table).where(self.table.c.user_id == user_id))

    async def sweep(self, tx: AsyncConnection, now: datetime) -> bool:
        """Delete a batch of those whose time is over; whether more may be left."""
        return await delete_batch(tx, self.table, self.table.c.expires_at <= now)

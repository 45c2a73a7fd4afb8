"""Identities: which account of a provider belongs to which of ours, by issuer and subject and by nothing else.

An address or a name that a provider tells may change and be given to somebody else there; its subject may not (OpenID
Connect Core 1.0, sections 2 and 5.7).
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, MetaData, RowMapping, String, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, Authenticator, User, timestamp
from sigra.db import Digest, ExactText, Id, UTCDateTime, user_ref
from sigra_oauth.errors import IdentityTaken
from sigra_oauth.provider import Claims
from sigra_oauth.shapes import PublicLinkedIdentity

METHOD = "oauth"


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """One row.

    Args:
        email: As the provider told it last; nothing is decided by it.
    """

    id: uuid.UUID
    user_id: uuid.UUID
    provider: str
    issuer: str
    subject: str
    email: str | None = field(repr=False)
    name: str | None = field(repr=False)
    created_at: datetime
    last_used_at: datetime

    def public(self, label: str) -> PublicLinkedIdentity:
        """What its user may see."""
        return {
            "id": str(self.id),
            "provider": self.provider,
            "label": label,
            "email": self.email,
            "name": self.name,
            "created_at": timestamp(self.created_at),
            "last_used_at": timestamp(self.last_used_at),
        }

    def key(self) -> dict[str, str]:
        """What it is found by."""
        return {"issuer": self.issuer, "subject": self.subject}

    def described(self, label: str, *, alone: bool = True) -> Authenticator:
        """As one of its user's authenticators.

        Args:
            alone: Whether somebody can sign in with nothing else: not where its provider is configured no more.
        """
        return Authenticator("primary", METHOD, str(self.id), label, alone=alone)


class Identities:
    """`sigra_oauth_identities`."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_oauth_identities",
            metadata,
            Column("id", Id(), primary_key=True),
            user_ref(),
            # No database indexes two texts of that length as they are.
            Column("key_digest", Digest(), nullable=False, unique=True),
            Column("provider", String(32), nullable=False),
            Column("issuer", ExactText(255), nullable=False),
            Column("subject", ExactText(255), nullable=False),
            Column("email", String(254)),
            Column("email_verified", Boolean, nullable=False),
            Column("name", String(200)),
            Column("created_at", UTCDateTime, nullable=False),
            Column("last_used_at", UTCDateTime, nullable=False),
        )

    async def find(self, tx: AsyncConnection, claims: Claims) -> LinkedIdentity | None:
        """The identity of that issuer and subject."""
        return await self._first(tx, self.table.c.key_digest == _key(claims.issuer, claims.subject))

    async def by_subject(self, tx: AsyncConnection, issuer: str, subject: str) -> LinkedIdentity | None:
        """The same, for who has nothing else."""
        return await self._first(tx, self.table.c.key_digest == _key(issuer, subject))

    async def of(self, tx: AsyncConnection, user: User) -> list[LinkedIdentity]:
        """A user's, the oldest first."""
        query = select(self.table).where(self.table.c.user_id == user.id)
        rows = await tx.execute(query.order_by(self.table.c.created_at, self.table.c.id))
        return [_identity(row) for row in rows.mappings()]

    async def add(self, auth: Auth, tx: AsyncConnection, user: User, provider: str, claims: Claims) -> LinkedIdentity:
        """Link a new one; the user is locked.

        Raises:
            IdentityTaken: It is linked already.
        """
        now = auth.clock()
        id = uuid.UUID(bytes=auth.random(16), version=4)
        values = {
            "id": id,
            "user_id": user.id,
            "key_digest": _key(claims.issuer, claims.subject),
            "provider": provider,
            "issuer": claims.issuer,
            "subject": claims.subject,
            **_told(claims),
            "created_at": now,
            "last_used_at": now,
        }
        try:
            async with tx.begin_nested():
                await tx.execute(insert(self.table).values(values))
        except IntegrityError as error:
            raise IdentityTaken from error
        added = await self._first(tx, self.table.c.id == id)
        assert added is not None
        return added

    async def used(
        self, auth: Auth, tx: AsyncConnection, identity: LinkedIdentity, provider: str, claims: Claims
    ) -> bool:
        """Note what the provider tells now, and what it is called now; False when it was unlinked meanwhile."""
        mine = (self.table.c.id == identity.id) & (self.table.c.user_id == identity.user_id)
        values = {"provider": provider, **_told(claims), "last_used_at": auth.clock()}
        await tx.execute(update(self.table).where(mine).values(values))
        return await self._first(tx, mine) is not None

    async def remove(self, tx: AsyncConnection, user: User, id: uuid.UUID) -> LinkedIdentity | None:
        """The one that is gone; None when the user had none of that id."""
        mine = (self.table.c.id == id) & (self.table.c.user_id == user.id)
        found = await self._first(tx, mine)
        if found is None or (await tx.execute(delete(self.table).where(mine))).rowcount != 1:
            return None
        return found

    async def clear(self, tx: AsyncConnection, user: User) -> None:
        """Remove all of a user's."""
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    async def clear_all(self, tx: AsyncConnection) -> int:
        """Remove everybody's; how many."""
        return (await tx.execute(delete(self.table))).rowcount

    async def _first(self, tx: AsyncConnection, condition: Any) -> LinkedIdentity | None:
        row = (await tx.execute(select(self.table).where(condition))).mappings().first()
        return None if row is None else _identity(row)


def _key(issuer: str, subject: str) -> bytes:
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode()).digest()


def _told(claims: Claims) -> dict[str, Any]:
    """What changes there."""
    return {"email": claims.email, "email_verified": claims.email_verified, "name": claims.name}


def _identity(row: RowMapping) -> LinkedIdentity:
    names = ("id", "user_id", "provider", "issuer", "subject", "email", "name", "created_at", "last_used_at")
    return LinkedIdentity(**{name: row[name] for name in names})

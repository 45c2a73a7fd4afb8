"""The provider's tokens, sealed, one row an identity; revoked there when they end here."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, MetaData, Table, Text, delete, insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, SigraError, User
from sigra.db import Id, Sealed, UTCDateTime
from sigra_oauth.identities import LinkedIdentity
from sigra_oauth.provider import Tokens
from sigra_oauth.revoking import Revocations

_log = logging.getLogger("sigra.oauth")


@dataclass(frozen=True, slots=True)
class Held:
    """One row, as it was read.

    Args:
        version: Another one after every write, never one that was there before.
        leased_until: Until when one worker refreshes it, UTC; None when nobody does.
    """

    identity: LinkedIdentity
    version: uuid.UUID
    tokens: Tokens = field(repr=False)
    leased_until: datetime | None = None


class KeptTokens:
    """`sigra_oauth_tokens`, and what of them is to be revoked."""

    def __init__(self, metadata: MetaData) -> None:
        self.revocations = Revocations(metadata)
        self.table = Table(
            "sigra_oauth_tokens",
            metadata,
            Column("identity_id", Id(), ForeignKey("sigra_oauth_identities.id", ondelete="CASCADE"), primary_key=True),
            Column("access_token", Sealed(), nullable=False),
            Column("refresh_token", Sealed()),
            Column("scope", Text),
            Column("expires_at", UTCDateTime),
            Column("version", Id(), nullable=False),
            Column("leased_until", UTCDateTime),
        )

    @property
    def tables(self) -> Sequence[Table]:
        return [self.table, self.revocations.table]

    async def keep(self, auth: Auth, tx: AsyncConnection, identity: LinkedIdentity, tokens: Tokens) -> None:
        """Those of the newest answer; the user is locked.

        A refresh token stays where the answer brings none: some providers give one at the first consent only. None is
        revoked for being replaced, since that may end all of what its user has granted (RFC 7009, section 2.1).
        """
        values = self._sealed(auth, identity.id, tokens)
        mine = self.table.c.identity_id == identity.id
        if (await tx.execute(update(self.table).where(mine).values(values))).rowcount == 0:
            await tx.execute(insert(self.table).values(identity_id=identity.id, **values))

    def _sealed(self, auth: Auth, id: uuid.UUID, tokens: Tokens) -> dict[str, Any]:
        values: dict[str, Any] = {
            "access_token": auth.vault.seal(self.table.c.access_token, id, tokens.access_token.encode()),
            "expires_at": tokens.expires_at,
            "version": uuid.UUID(bytes=auth.random(16), version=4),
            "leased_until": None,
        }
        if tokens.refresh_token is not None:
            values["refresh_token"] = auth.vault.seal(self.table.c.refresh_token, id, tokens.refresh_token.encode())
        if tokens.scope is not None:
            values["scope"] = tokens.scope
        return values

    # Refreshing

    async def find(self, auth: Auth, tx: AsyncConnection, identity: LinkedIdentity) -> Held | None:
        """What is kept of an identity."""
        query = select(self.table).where(self.table.c.identity_id == identity.id)
        row = (await tx.execute(query)).mappings().first()
        if row is None:
            return None
        return Held(identity, row["version"], self._opened(auth, row), row["leased_until"])

    def _opened(self, auth: Auth, row: RowMapping) -> Tokens:
        id, sealed = row["identity_id"], row["refresh_token"]
        refresh = None if sealed is None else auth.vault.open(self.table.c.refresh_token, id, sealed).decode()
        access = auth.vault.open(self.table.c.access_token, id, row["access_token"]).decode()
        return Tokens(access, refresh, row["expires_at"], row["scope"])

    async def lease(self, tx: AsyncConnection, held: Held, now: datetime, until: datetime) -> bool:
        """Be the one who refreshes it; False when somebody else is, or has done it."""
        free = or_(self.table.c.leased_until.is_(None), self.table.c.leased_until <= now)
        leased = update(self.table).where(self._same(held), free).values(leased_until=until)
        return (await tx.execute(leased)).rowcount == 1

    async def release(self, tx: AsyncConnection, held: Held, until: datetime) -> None:
        """Let the next one try."""
        mine = self._same(held) & (self.table.c.leased_until == until)
        await tx.execute(update(self.table).where(mine).values(leased_until=None))

    async def renew(self, auth: Auth, tx: AsyncConnection, held: Held, tokens: Tokens) -> None:
        """Store what a refresh gave, unless something newer is there; what came for nobody any more is revoked."""
        id = held.identity.id
        if (
            await tx.execute(update(self.table).where(self._same(held)).values(self._sealed(auth, id, tokens)))
        ).rowcount:
            return
        if await tx.scalar(select(self.table.c.version).where(self.table.c.identity_id == id)) is None:
            await self.revocations.add(auth, tx, held.identity.provider, tokens)

    async def lose(self, tx: AsyncConnection, held: Held) -> None:
        """The provider gives nothing for it any more."""
        await tx.execute(delete(self.table).where(self._same(held)))

    def _same(self, held: Held) -> Any:
        return (self.table.c.identity_id == held.identity.id) & (self.table.c.version == held.version)

    # Ending

    async def end(self, auth: Auth, tx: AsyncConnection, identity: LinkedIdentity) -> None:
        """Before an identity goes: its tokens end here, and later at the provider."""
        await self._end(auth, tx, identity.id, identity.provider)

    async def end_all(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        """The same, of all of a user's."""
        identities = self.table.metadata.tables["sigra_oauth_identities"]
        query = select(identities.c.id, identities.c.provider).join(self.table)
        for row in (await tx.execute(query.where(identities.c.user_id == user.id))).all():
            await self._end(auth, tx, row.id, row.provider)

    async def _end(self, auth: Auth, tx: AsyncConnection, id: uuid.UUID, provider: str) -> None:
        row = (await tx.execute(select(self.table).where(self.table.c.identity_id == id))).mappings().first()
        if row is None:
            return
        await tx.execute(delete(self.table).where(self.table.c.identity_id == id))
        try:
            tokens = self._opened(auth, row)
        except SigraError as error:
            # Sealed under a key that is gone: nobody can revoke them, and that must not keep their owner from this.
            _log.error("tokens of %s cannot be revoked: %s", provider, error)
            return
        await self.revocations.add(auth, tx, provider, tokens)

    async def clear_all(self, tx: AsyncConnection) -> int:
        """End everybody's, which are those of an old backup; how many. What is to be revoked still is."""
        return (await tx.execute(delete(self.table))).rowcount

    # The user's data

    async def scopes(self, tx: AsyncConnection, identity: LinkedIdentity) -> list[str] | None:
        """What the user has granted the application; None when nothing is kept."""
        query = select(self.table.c.scope).where(self.table.c.identity_id == identity.id)
        row = (await tx.execute(query)).first()
        return None if row is None else (row.scope or "").split()

"""Ending tokens at their provider: noted in the transaction in which they end here, done later.

A worker that is killed in between leaves a row for the next: revoking twice does no harm (RFC 7009, section 2.2).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, SigraError
from sigra.db import Id, Sealed, UTCDateTime
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable
from sigra_oauth.provider import Provider, Tokens

_log = logging.getLogger("sigra.oauth")

Kind = Literal["access_token", "refresh_token"]
"""As RFC 7009 names them (`token_type_hint`, section 2.1)."""

LIFETIME = timedelta(hours=24)
"""How long it is tried."""

LEASE = timedelta(minutes=1)
"""How long a row is its worker's."""

SECONDS = 20.0
"""For a try; less than a lease."""

HANDS = 8
"""Tokens that are revoked at the same time."""

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
"""Before the second try; each is twice the one before."""


@dataclass(frozen=True, slots=True)
class Due:
    """A row, for the worker that has leased it."""

    id: uuid.UUID
    provider: str
    kind: Kind
    tries: int
    token: bytes = field(repr=False)


class Revocations:
    """`sigra_oauth_revocations`."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_oauth_revocations",
            metadata,
            Column("id", Id(), primary_key=True),
            Column("provider", String(32), nullable=False),
            Column("kind", String(16), nullable=False),
            Column("token", Sealed(), nullable=False),
            Column("tries", Integer, nullable=False),
            Column("due_at", UTCDateTime, nullable=False, index=True),
            Column("expires_at", UTCDateTime, nullable=False),
        )

    async def add(self, auth: Auth, tx: AsyncConnection, provider: str, tokens: Tokens) -> None:
        """Have tokens revoked once the transaction is committed.

        Both, the refresh token first: that the other ends with it is left to the provider (RFC 7009, section 2.1).
        """
        if tokens.refresh_token is not None:
            await self._add(auth, tx, provider, "refresh_token", tokens.refresh_token)
        if tokens.expires_at is None or tokens.expires_at > auth.clock():
            await self._add(auth, tx, provider, "access_token", tokens.access_token)

    async def _add(self, auth: Auth, tx: AsyncConnection, provider: str, kind: Kind, token: str) -> None:
        id, now = uuid.UUID(bytes=auth.random(16), version=4), auth.clock()
        values = {
            "id": id,
            "provider": provider,
            "kind": kind,
            "token": auth.vault.seal(self.table.c.token, id, token.encode()),
            "tries": 0,
            "due_at": now,
            "expires_at": now + LIFETIME,
        }
        await tx.execute(insert(self.table).values(values))

    async def run(self, auth: Auth, providers: Mapping[str, Provider]) -> bool:
        """Revoke a batch of what is due; whether more may be left."""
        async with auth.db.connect() as tx:
            rows = await self._due(auth, tx)
        claimed = await auth.db.transaction(partial(self._claim, auth, rows=rows)) if rows else []
        tried = await asyncio.gather(*(self._revoke(auth, providers, due) for due in claimed), return_exceptions=True)
        for error in tried:
            if isinstance(error, BaseException):
                raise error
        return len(rows) == HANDS

    async def _due(self, auth: Auth, tx: AsyncConnection) -> list[Mapping[str, Any]]:
        query = select(self.table).where(self.table.c.due_at <= auth.clock())
        found = await tx.execute(query.order_by(self.table.c.due_at, self.table.c.kind.desc()).limit(HANDS))
        return [dict(row) for row in found.mappings()]

    async def _claim(self, auth: Auth, tx: AsyncConnection, rows: list[Mapping[str, Any]]) -> list[Due]:
        """Those that are now this worker's: no other revokes them until their lease ends."""
        claimed, now = [], auth.clock()
        for row in rows:
            same = (self.table.c.id == row["id"]) & (self.table.c.due_at == row["due_at"])
            leased = {"due_at": now + LEASE, "tries": row["tries"] + 1}
            if (await tx.execute(update(self.table).where(same).values(leased))).rowcount == 1:
                claimed.append(Due(row["id"], row["provider"], row["kind"], row["tries"] + 1, row["token"]))
        return claimed

    async def _revoke(self, auth: Auth, providers: Mapping[str, Provider], due: Due) -> None:
        provider = providers.get(due.provider)
        if provider is None:
            _log.warning("a token of %s is not revoked: the provider is configured no more", due.provider)
            await auth.db.transaction(partial(self._drop, due=due))
            return
        try:
            token = auth.vault.open(self.table.c.token, due.id, due.token).decode()
            async with asyncio.timeout(SECONDS):
                await provider.revoke(token, due.kind)
        except (OAuthFailed, OAuthUnavailable) as error:
            await self._postpone(auth, due, error.reason)
        except TimeoutError:
            await self._postpone(auth, due, "it takes too long")
        except SigraError as error:
            await self._postpone(auth, due, str(error))
        else:
            await auth.db.transaction(partial(self._drop, due=due))

    async def _postpone(self, auth: Auth, due: Due, reason: str) -> None:
        """Try again later, or never when its time is over."""
        delay = min(FIRST_DELAY * 2 ** min(due.tries - 1, 16), LONGEST_DELAY)
        later = partial(self._move, auth, due=due, at=auth.clock() + delay)
        said = "tried again" if await auth.db.transaction(later) else "given up"
        _log.warning("revoking a token at %s is %s: %s", due.provider, said, reason)

    async def _move(self, auth: Auth, tx: AsyncConnection, due: Due, at: datetime) -> bool:
        lives = (self.table.c.id == due.id) & (self.table.c.expires_at > at)
        moved = await tx.execute(update(self.table).where(lives).values(due_at=at))
        if moved.rowcount == 1:
            return True
        await self._drop(tx, due)
        return False

    async def _drop(self, tx: AsyncConnection, due: Due) -> None:
        await tx.execute(delete(self.table).where(self.table.c.id == due.id))

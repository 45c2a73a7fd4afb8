"""Which sign-outs of a provider were heard: none is heard twice, and what began before one does not outlive it."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timedelta

from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth
from sigra.db import Digest, Id, UTCDateTime, delete_batch
from sigra_oauth.attempts import mail_lifetime
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.provider import LoggedOut

MARGIN = timedelta(hours=1)
"""Longer than an answer of a provider waits for what else is asked, besides a mail."""

LIFETIME = timedelta(hours=25)
"""At least: as long as a token may be old, and a little more."""


class Logouts:
    """`sigra_oauth_logouts`."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_oauth_logouts",
            metadata,
            Column("id", Id(), primary_key=True),
            Column("token_digest", Digest(), nullable=False, unique=True),
            Column("whose_digest", Digest(), nullable=False, index=True),
            Column("heard_at", UTCDateTime, nullable=False),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
        )

    async def note(self, auth: Auth, tx: AsyncConnection, told: LoggedOut) -> None:
        """Hear a sign-out once.

        Raises:
            OAuthFailed: It was heard before (Back-Channel Logout 1.0, section 2.6, step 8).
        """
        now = auth.clock()
        values = {
            "id": uuid.UUID(bytes=auth.random(16), version=4),
            "token_digest": _digest("token", told.issuer, told.id),
            "whose_digest": _whose(told.issuer, told.subject, told.session),
            "heard_at": now,
            "expires_at": max(told.expires_at, now + LIFETIME, now + mail_lifetime(auth) + MARGIN),
        }
        try:
            async with tx.begin_nested():
                await tx.execute(insert(self.table).values(values))
        except IntegrityError:
            raise OAuthFailed("the logout token was used before (jti)") from None

    async def has_ended(
        self, tx: AsyncConnection, issuer: str, subject: str, session: str | None, since: datetime
    ) -> bool:
        """Whether a session there, or all of an account, was signed out since then."""
        whose = {_whose(issuer, subject, None), _whose(issuer, subject, session)}
        query = select(self.table.c.id).where(self.table.c.whose_digest.in_(whose), self.table.c.heard_at >= since)
        return (await tx.execute(query.limit(1))).first() is not None

    async def sweep(self, auth: Auth, tx: AsyncConnection) -> bool:
        """Delete a batch of what nobody can tell again; whether more may be left."""
        return await delete_batch(tx, self.table, self.table.c.expires_at <= auth.clock())


def _whose(issuer: str, subject: str | None, session: str | None) -> bytes:
    """A session there, else all of an account."""
    return _digest("subject", issuer, subject or "") if session is None else _digest("session", issuer, session)


def _digest(kind: str, issuer: str, name: str) -> bytes:
    return hashlib.sha256(f"{kind}:{len(issuer)}:{issuer}{name}".encode()).digest()

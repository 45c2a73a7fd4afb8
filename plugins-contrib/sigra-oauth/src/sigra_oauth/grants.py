"""Which of our sessions began with which answer of a provider, so that a sign-out there ends exactly these."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, ForeignKey, MetaData, Table, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, User
from sigra.db import ExactText, Id, Sealed, UTCDateTime, delete_batch
from sigra_oauth.errors import OAuthExpired
from sigra_oauth.identities import LinkedIdentity
from sigra_oauth.logouts import Logouts
from sigra_oauth.provider import Answer, LoggedOut

UNBOUND = timedelta(days=2)
"""How long an answer may be on its way to a session: a day for a mailed proof, and some minutes for the rest."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer that a session began with."""

    provider: str
    id_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A grant that its provider has ended.

    Args:
        session_id: The session that it led to; None while it had led to none.
    """

    id: uuid.UUID
    user_id: uuid.UUID
    session_id: uuid.UUID | None


class Grants:
    """`sigra_oauth_grants`: one row an answer that led, or may yet lead, to a session; and what ended some."""

    def __init__(self, metadata: MetaData) -> None:
        self.logouts = Logouts(metadata)
        self.table = Table(
            "sigra_oauth_grants",
            metadata,
            Column("id", Id(), primary_key=True),
            Column(
                "identity_id",
                Id(),
                ForeignKey("sigra_oauth_identities.id", ondelete="CASCADE"),
                nullable=False,
                index=True,
            ),
            Column("session_id", Id(), index=True),
            Column("provider_session", ExactText(255), index=True),
            Column("id_token", Sealed()),
            Column("created_at", UTCDateTime, nullable=False, index=True),
        )

    @property
    def tables(self) -> Sequence[Table]:
        return [self.table, self.logouts.table]

    async def keep(
        self,
        auth: Auth,
        tx: AsyncConnection,
        id: uuid.UUID,
        identity: LinkedIdentity,
        answer: Answer,
        begun_at: datetime,
    ) -> None:
        """Note an answer, under the id that the sign-in goes on with (`Login.reference`); the user is locked.

        Args:
            begun_at: When the attempt began.

        Raises:
            OAuthExpired: The provider has signed its user out since then.
        """
        whose = (identity.issuer, identity.subject, answer.session)
        if await self.logouts.has_ended(tx, *whose, since=begun_at):
            raise OAuthExpired
        token = answer.tokens.id_token
        values = {
            "id": id,
            "identity_id": identity.id,
            "provider_session": answer.session,
            "id_token": None if token is None else auth.vault.seal(self.table.c.id_token, id, token.encode()),
            "created_at": auth.clock(),
        }
        await tx.execute(delete(self.table).where(self.table.c.id == id))
        await tx.execute(insert(self.table).values(values))

    async def bind(self, auth: Auth, tx: AsyncConnection, id: uuid.UUID, session_id: uuid.UUID | None) -> bool:
        """The session that came of it; False when the provider has ended it meanwhile. The user is locked."""
        row = (await tx.execute(select(self.table).where(self.table.c.id == id))).mappings().first()
        if row is None:
            return False
        if row["session_id"] not in (None, session_id):
            # Two proofs of what waited make two sessions, and a sign-out there ends both.
            id = uuid.UUID(bytes=auth.random(16), version=4)
            await tx.execute(insert(self.table).values({**row, "id": id, "id_token": None}))
        mine = self.table.c.id == id
        await tx.execute(update(self.table).where(mine).values(session_id=session_id))
        if session_id is not None:
            # Who is signed in already has proven it again: the older answer of that account says nothing more.
            older = (self.table.c.session_id == session_id) & (self.table.c.identity_id == row["identity_id"])
            await tx.execute(delete(self.table).where(older, ~mine))
        return True

    async def moved(self, tx: AsyncConnection, old: uuid.UUID, new: uuid.UUID, at: datetime | None = None) -> None:
        """A session goes on under a new id.

        Args:
            at: When it begins anew, if it does.
        """
        values: dict[str, Any] = {"session_id": new} | ({} if at is None else {"created_at": at})
        await tx.execute(update(self.table).where(self.table.c.session_id == old).values(values))

    async def of_session(self, auth: Auth, session_id: uuid.UUID) -> Begun | None:
        """The newest answer that a session came of; None when it came of something else."""
        identities = self._identities
        query = select(self.table.c.id, self.table.c.id_token, identities.c.provider).join(identities)
        mine = query.where(self.table.c.session_id == session_id).order_by(self.table.c.created_at.desc())
        async with auth.db.connect() as tx:
            row = (await tx.execute(mine.limit(1))).first()
        if row is None:
            return None
        sealed = row.id_token
        token = None if sealed is None else auth.vault.open(self.table.c.id_token, row.id, sealed).decode()
        return Begun(row.provider, token)

    # Ending

    async def end_session(self, tx: AsyncConnection, session_id: uuid.UUID) -> None:
        """A session has ended."""
        await tx.execute(delete(self.table).where(self.table.c.session_id == session_id))

    async def clear(self, tx: AsyncConnection, user: User, keep: uuid.UUID | None = None) -> None:
        """End all of a user's, but what belongs to the session `keep`."""
        its = self.table.c.identity_id.in_(select(self._identities.c.id).where(self._identities.c.user_id == user.id))
        others = or_(self.table.c.session_id.is_(None), self.table.c.session_id != keep)
        await tx.execute(delete(self.table).where(its if keep is None else and_(its, others)))

    async def clear_all(self, tx: AsyncConnection) -> int:
        """End everybody's; how many."""
        return (await tx.execute(delete(self.table))).rowcount

    async def logged_out(self, tx: AsyncConnection, told: LoggedOut, identity: LinkedIdentity | None) -> list[Ended]:
        """What a sign-out at the provider is about: of that session there, of that account there, or both.

        Args:
            identity: That of the token's subject; None when it names none.
        """
        conditions = [self._identities.c.issuer == told.issuer]
        if told.session is not None:
            conditions.append(self.table.c.provider_session == told.session)
        if identity is not None:
            conditions.append(self.table.c.identity_id == identity.id)
        query = select(self.table.c.id, self._identities.c.user_id, self.table.c.session_id).join(self._identities)
        return [Ended(*row) for row in await tx.execute(query.where(*conditions))]

    async def end(self, tx: AsyncConnection, ended: Sequence[Ended]) -> None:
        """Have them lead to nothing any more."""
        await tx.execute(delete(self.table).where(self.table.c.id.in_([one.id for one in ended])))

    async def sweep(self, auth: Auth, tx: AsyncConnection) -> bool:
        """Delete a batch of those whose session cannot live any more; whether more may be left."""
        now, sessions = auth.clock(), getattr(auth.settings, "sessions", None)
        old: ColumnElement[bool] = self.table.c.session_id.is_(None) & (self.table.c.created_at <= now - UNBOUND)
        if sessions is not None:
            longest = max(sessions.absolute, sessions.remember_absolute) + timedelta(days=1)
            old = or_(old, self.table.c.created_at <= now - longest)
        return await delete_batch(tx, self.table, old)

    @property
    def _identities(self) -> Table:
        return self.table.metadata.tables["sigra_oauth_identities"]

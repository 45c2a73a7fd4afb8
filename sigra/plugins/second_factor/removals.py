"""How somebody who has lost every factor comes back: an administrator's word, a mail, and time to object.

A mailbox alone removes nothing: its link only stops a removal.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Column, MetaData, RowMapping, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db import Id, UTCDateTime, user_ref
from sigra.errors import InvalidToken, NotFound, SigraError
from sigra.hookspecs import forget_factors
from sigra.messages import Message, Mint
from sigra.models import HeldToken, User, timestamp
from sigra.plugins.second_factor.shapes import (
    FactorRemovalCancelled,
    FactorRemovalRequested,
    FactorsRemoved,
    RemoveFactors,
)
from sigra.protocols import Auth

_log = logging.getLogger("sigra")

PURPOSE = "factor_removal"
"""Of the token that stops a removal, and the name of the route whose page takes it."""

BATCH = 100
"""Accounts in one run; each in a transaction of its own."""

LATER = timedelta(days=1)
"""When a removal is tried again that somebody refused."""

PUT_OFF = timedelta(days=60)
"""How long after the word of an administrator a removal is put off at most. Its mailed link is good for longer."""


class Removals:
    """The table `sigra_second_factor_removals`: one row for each removal that waits."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_second_factor_removals",
            metadata,
            user_ref(primary_key=True),
            Column("id", Id(), nullable=False),
            Column("requested_at", UTCDateTime, nullable=False),
            Column("remove_at", UTCDateTime, nullable=False, index=True),
        )

    async def waiting(self, tx: AsyncConnection, user: User) -> RowMapping | None:
        """The removal that waits for a user."""
        return (await tx.execute(select(self.table).where(self.table.c.user_id == user.id))).mappings().first()

    async def request(self, auth: Auth, tx: AsyncConnection, user: User, wait: timedelta) -> datetime:
        """Have the factors of a user, who is locked, removed later, and tell the owner now; an older wait ends.

        Returns:
            When they are removed.
        """
        await self.end(auth, tx, user)
        id, now = uuid.uuid4(), auth.clock()
        row = {"user_id": user.id, "id": id, "requested_at": now, "remove_at": now + wait}
        await tx.execute(insert(self.table).values(row))
        metadata = {"remove_at": timestamp(now + wait)}
        await auth.emit(tx, FactorRemovalRequested(user_id=user.id, metadata=metadata))
        if user.email is not None:
            # Bound to its removal: the mail of an older one, sent late, does not stop a newer one.
            token = Mint(PURPOSE, page=PURPOSE, lifetime=wait + PUT_OFF, payload={"removal": str(id)}, subject=str(id))
            context = {"at": f"{now + wait:%Y-%m-%d %H:%M} UTC"}
            await auth.send(tx, Message("factors_removal_requested", user.email, user, context, token))
        return now + wait

    # Stopping it

    async def cancel_by_link(self, auth: Auth, held: HeldToken, tx: AsyncConnection) -> None:
        """Stop a removal by the token of its mail.

        Raises:
            InvalidToken: It is another removal's, or that has ended.
        """
        user = None if held.user_id is None else await auth.users.lock(tx, held.user_id)
        row = None if user is None else await self.waiting(tx, user)
        if user is None or row is None or str(row["id"]) != held.payload["removal"]:
            raise InvalidToken
        if not await auth.tokens.take(tx, held):
            raise InvalidToken
        await self.cancel(auth, tx, user, "link")

    async def cancel_own(self, auth: Auth, user: User, tx: AsyncConnection) -> None:
        """Stop a removal, by whoever is signed in.

        Raises:
            NotFound: None waits.
        """
        locked = await auth.users.lock(tx, user.id)
        if locked is None or not await self.cancel(auth, tx, locked, "session"):
            raise NotFound

    async def cancel(self, auth: Auth, tx: AsyncConnection, user: User, by: str) -> bool:
        """Stop the removal that waits for a user, who is locked; False when none does."""
        if not await self.end(auth, tx, user):
            return False
        await auth.emit(tx, FactorRemovalCancelled(user_id=user.id, metadata={"by": by}))
        return True

    async def end(self, auth: Auth, tx: AsyncConnection, user: User) -> bool:
        """End the wait, and what was mailed for it; whether there was one."""
        ended = await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))
        if ended.rowcount:
            await auth.tokens.end(tx, PURPOSE, user=user)
        return bool(ended.rowcount)

    async def end_all(self, tx: AsyncConnection) -> int:
        """End all that wait; how many there were."""
        return (await tx.execute(delete(self.table))).rowcount

    # Doing it

    async def remove_due(self, auth: Auth) -> bool:
        """Remove the factors of a batch of those who have waited long enough; whether more may be left."""
        due = select(self.table.c.user_id).where(self.table.c.remove_at <= auth.clock())
        async with auth.db.connect() as tx:
            found = list(await tx.scalars(due.order_by(self.table.c.remove_at).limit(BATCH)))
        for user_id in found:
            try:
                await auth.db.transaction(partial(self._remove_due, auth, user_id))
            except SigraError as error:
                _log.error("the factors of account %s are not removed: %s", user_id, type(error).__name__)
                await auth.db.transaction(partial(self._postpone, auth, user_id))
        return len(found) == BATCH

    async def _remove_due(self, auth: Auth, user_id: uuid.UUID, tx: AsyncConnection) -> None:
        user = await auth.users.lock(tx, user_id)
        row = None if user is None else await self.waiting(tx, user)
        if user is not None and row is not None and row["remove_at"] <= auth.clock():
            await self.remove(auth, tx, user)

    async def _postpone(self, auth: Auth, user_id: uuid.UUID, tx: AsyncConnection) -> None:
        user, later = await auth.users.lock(tx, user_id), auth.clock() + LATER
        row = None if user is None else await self.waiting(tx, user)
        if user is not None and row is not None and later > row["requested_at"] + PUT_OFF:
            await self.cancel(auth, tx, user, "refusal")
            return
        await tx.execute(update(self.table).where(self.table.c.user_id == user_id).values(remove_at=later))

    async def remove(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        """Remove all second factors of a user, who is locked, and end all sessions."""
        methods = sorted({one.method for one in await auth.authenticators.of(tx, user) if one.kind == "mfa"})
        await auth.act(tx, RemoveFactors(user=user))
        await self.end(auth, tx, user)
        await auth.each(forget_factors, tx=tx, user=user, reason="administrator")
        await auth.revoke(tx, user, "factors_removed")
        await auth.emit(tx, FactorsRemoved(user_id=user.id, metadata={"methods": methods}))
        if user.email is not None:
            await auth.send(tx, Message("factors_removed", user.email, user))

    async def exported(self, tx: AsyncConnection, user: User) -> Mapping[str, Any] | None:
        """The removal that waits, as JSON values."""
        row = await self.waiting(tx, user)
        if row is None:
            return None
        return {name: timestamp(row[name]) for name in ("requested_at", "remove_at")}

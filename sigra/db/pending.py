"""Sign-ins that wait for another proof."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.crypto import KeyRing, new_secret
from sigra.db.batches import delete_batch
from sigra.db.identifiers import uuid7
from sigra.db.users import UserTable
from sigra.models import Login, User

PURPOSE = "pending_sign_in"


class PendingSignIns:
    """The table `sigra_pending_sign_ins`: what was passed so far, behind the digest of a token."""

    def __init__(
        self,
        pending_sign_ins: Table,
        users: UserTable,
        keys: KeyRing,
        *,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
    ) -> None:
        self._table = pending_sign_ins
        self._users = users
        self._keys = keys
        self._clock = clock
        self._random = random

    async def create(self, tx: AsyncConnection, login: Login, lifetime: timedelta) -> tuple[str, datetime]:
        """The token of a new one, and when it ends."""
        token = new_secret(self._random)
        now = self._clock()
        values = {
            "id": uuid7(self._clock, self._random),
            "token_digest": self._keys.digest(PURPOSE, token),
            "user_id": login.user.id,
            "security_version": login.user.security_version,
            "login": _packed(login),
            "tries": 0,
            "created_at": now,
            "expires_at": now + lifetime,
        }
        await tx.execute(insert(self._table).values(values))
        return token, now + lifetime

    async def find(self, tx: AsyncConnection, token: str, tries: int) -> Login | None:
        """What waits behind a token; None when it is unknown, spent, expired, overtaken or tried out."""
        table = self._table
        statement = select(table.c.id, table.c.user_id, table.c.security_version, table.c.login).where(
            table.c.token_digest.in_(self._keys.digests(PURPOSE, token)),
            table.c.expires_at > self._clock(),
            table.c.tries < tries,
        )
        found = (await tx.execute(statement)).first()
        user = found and await self._users.by_id(found.user_id, tx)
        if found is None or user is None or user.status != "active":
            return None
        return _unpacked(found.login, user, found.id) if user.security_version == found.security_version else None

    async def count_try(self, tx: AsyncConnection, id: uuid.UUID, tries: int) -> bool:
        """Use up one try, before the proof is looked at; False when none is left."""
        table = self._table
        counted = await tx.execute(
            update(table)
            .where(table.c.id == id, table.c.tries < tries, table.c.expires_at > self._clock())
            .values(tries=table.c.tries + 1)
        )
        return counted.rowcount == 1

    async def spend(self, tx: AsyncConnection, id: uuid.UUID, user_id: uuid.UUID) -> bool:
        """End it, because it goes on; False when somebody else was first."""
        table = self._table
        spent = await tx.execute(
            delete(table).where(table.c.id == id, table.c.user_id == user_id, table.c.expires_at > self._clock())
        )
        return spent.rowcount == 1

    async def end(self, tx: AsyncConnection, user_id: uuid.UUID) -> None:
        """End all of a user's."""
        await tx.execute(delete(self._table).where(self._table.c.user_id == user_id))

    async def sweep(self, tx: AsyncConnection) -> bool:
        """Delete a batch of what has expired; whether more may be left."""
        return await delete_batch(tx, self._table, self._table.c.expires_at <= self._clock())


def _packed(login: Login) -> dict[str, Any]:
    return {
        "amr": list(login.amr),
        "carrier": login.carrier,
        "remember": login.remember,
        "next": login.next,
        "methods": list(login.methods),
        "met": sorted(login.met),
        "owed": sorted(login.owed),
        "level": login.level,
        "guessable": login.guessable,
        "trust_browser": login.trust_browser,
        "reference": login.reference,
        "replaces": str(login.replaces) if login.replaces else None,
    }


def _unpacked(packed: Mapping[str, Any], user: User, id: uuid.UUID) -> Login:
    return Login(
        user=user,
        amr=tuple(packed["amr"]),
        carrier=packed["carrier"],
        remember=packed["remember"],
        next=packed["next"],
        methods=tuple(packed["methods"]),
        met=frozenset(packed["met"]),
        owed=frozenset(packed["owed"]),
        level=packed["level"],
        guessable=packed["guessable"],
        trust_browser=packed["trust_browser"],
        reference=packed.get("reference"),
        replaces=uuid.UUID(packed["replaces"]) if packed["replaces"] else None,
        pending=id,
    )

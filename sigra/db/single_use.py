"""Secrets that work once: the database decides who was first, by the number of rows that one statement deletes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.crypto import KeyRing, has_checksum, new_secret, with_checksum
from sigra.db.identifiers import uuid7
from sigra.db.schema import USERS
from sigra.models import MintedSecret, User

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class SingleUseTokens:
    """Opaque secrets of 256 bits, stored only as keyed digests; no purpose is accepted for another.

    Args:
        tokens: The table `sigra_tokens`.
        keys: Old keys of the ring still open what was issued under them.
    """

    def __init__(
        self, tokens: Table, keys: KeyRing, *, clock: Callable[[], datetime], random: Callable[[int], bytes]
    ) -> None:
        self._table = tokens
        self._users = tokens.metadata.tables[USERS]
        self._keys = keys
        self._clock = clock
        self._random = random

    async def issue(
        self, tx: AsyncConnection, purpose: str, user: User | None, payload: Mapping[str, Any], lifetime: timedelta
    ) -> str:
        """A new single-use token; older ones of the same purpose and user end."""
        table = self._table
        if user is not None:
            # Two issued at once must see each other, or both would live on.
            await self._lock(tx, user.id)
            await tx.execute(delete(table).where(table.c.purpose == purpose, table.c.user_id == user.id))
        secret = self.mint(purpose)
        now = self._clock()
        values = {
            "id": uuid7(self._clock, self._random),
            "purpose": purpose,
            "digest": secret.digest,
            "user_id": user.id if user else None,
            "payload": dict(payload),
            "created_at": now,
            "expires_at": now + lifetime,
        }
        await tx.execute(insert(table).values(values))
        return secret.text

    async def spend(self, tx: AsyncConnection, purpose: str, token: str) -> Mapping[str, Any] | None:
        """The payload, once; None when it is unknown, used or expired."""
        table = self._table
        digests = self.digests(purpose, token)
        if not digests:
            return None
        found = (
            await tx.execute(
                select(table.c.id, table.c.user_id, table.c.payload).where(
                    table.c.digest.in_(digests), table.c.purpose == purpose
                )
            )
        ).first()
        if found is None:
            return None
        if found.user_id is not None:
            await self._lock(tx, found.user_id)
        spent = await tx.execute(delete(table).where(table.c.id == found.id, table.c.expires_at > self._clock()))
        return found.payload if spent.rowcount == 1 else None

    def mint(self, purpose: str, prefix: str = "") -> MintedSecret:
        """A new secret for a table of the plugin's own; with a prefix it carries a checksum too."""
        secret = new_secret(self._random)
        text = with_checksum(prefix, secret) if prefix else secret
        return MintedSecret(text, self._keys.digest(purpose, text))

    def digests(self, purpose: str, text: str, prefix: str = "") -> Sequence[bytes]:
        """What a presented secret may be stored as, one a key of the ring; empty when its form is wrong."""
        formed = has_checksum(prefix, text) if prefix else _SECRET.fullmatch(text)
        return self._keys.digests(purpose, text) if formed else ()

    async def _lock(self, tx: AsyncConnection, user_id: Any) -> None:
        users = self._users
        await tx.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))

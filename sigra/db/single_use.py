"""Secrets that work once: the database decides who was first, by the number of rows that one statement deletes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.crypto import KeyRing, has_checksum, new_secret, with_checksum
from sigra.db.identifiers import uuid7
from sigra.db.schema import USERS
from sigra.messages import Mint
from sigra.models import HeldToken, MintedSecret, User

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")

CODE_DIGITS = 8
CODE_TRIES = 5
"""Guesses at a code: 5 in 10**8 is 1 in 20 million (NIST SP 800-63B-4, section 3.2.2, asks for 1 in a million)."""


@dataclass(frozen=True, slots=True)
class Derived:
    """The secrets of a message."""

    token: str = field(repr=False)
    code: str = field(repr=False)


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
        self,
        tx: AsyncConnection,
        purpose: str,
        user: User | None,
        payload: Mapping[str, Any],
        lifetime: timedelta,
        *,
        subject: str | None = None,
    ) -> str:
        """A new single-use token; the older one of the same purpose and subject (else user) ends."""
        secret = new_secret(self._random)
        about = str(user.id) if subject is None and user is not None else subject
        await self._store(tx, purpose, user.id if user else None, about, payload, lifetime, secret)
        return secret

    async def issue_derived(self, tx: AsyncConnection, mint: Mint, user_id: uuid.UUID | None, derived: Derived) -> None:
        """Make good the secrets of a message."""
        about = str(user_id) if mint.subject is None and user_id is not None else mint.subject
        code = derived.code if mint.code else None
        await self._store(tx, mint.purpose, user_id, about, mint.payload, mint.lifetime, derived.token, code)

    async def _store(
        self,
        tx: AsyncConnection,
        purpose: str,
        user_id: uuid.UUID | None,
        subject: str | None,
        payload: Mapping[str, Any],
        lifetime: timedelta,
        secret: str,
        code: str | None = None,
    ) -> None:
        table = self._table
        if user_id is not None:
            # Two issued at once must see each other, or both would live on.
            await self._lock(tx, user_id)
        if subject is not None:
            await tx.execute(delete(table).where(table.c.purpose == purpose, table.c.subject == subject))
        now = self._clock()
        values = {
            "id": uuid7(self._clock, self._random),
            "purpose": purpose,
            "digest": self._keys.digest(purpose, secret),
            "user_id": user_id,
            "subject": subject,
            "code_digest": None if code is None else self._keys.digest(_code_purpose(purpose, subject), code),
            "code_tries": 0,
            "payload": dict(payload),
            "created_at": now,
            "expires_at": now + lifetime,
        }
        await tx.execute(insert(table).values(values))

    def derived(self, purpose: str, seed: uuid.UUID) -> Derived:
        """The token and the code of a message, the same each time that it is rendered: it may be sent twice."""
        number = int.from_bytes(self._keys.derive(f"code of {purpose}", seed.bytes), "big") % 10**CODE_DIGITS
        token = new_secret(lambda _: self._keys.derive(f"token of {purpose}", seed.bytes))
        return Derived(token, f"{number:0{CODE_DIGITS}}")

    async def find(self, tx: AsyncConnection, purpose: str, token: str) -> HeldToken | None:
        """What a token would give, while it stays unspent; None when it is unknown, used or expired."""
        digests = self.digests(purpose, token)
        if not digests:
            return None
        return await self._held(tx, purpose, self._table.c.digest.in_(digests))

    async def count_code(self, tx: AsyncConnection, purpose: str, subject: str) -> bool:
        """Use up a try at the code of a subject, in a transaction of its own before the code is looked at.

        False when there is none to try; what follows does the same work then.
        """
        table = self._table
        counted = await tx.execute(
            update(table)
            .where(
                table.c.purpose == purpose,
                table.c.subject == subject,
                table.c.code_tries < CODE_TRIES,
                table.c.expires_at > self._clock(),
            )
            .values(code_tries=table.c.code_tries + 1)
        )
        return counted.rowcount == 1

    async def find_by_code(self, tx: AsyncConnection, purpose: str, subject: str, code: str) -> HeldToken | None:
        """What the token of a subject would give, by its code, once `count_code` said that it may be tried."""
        digests = self._keys.digests(_code_purpose(purpose, subject), code)
        condition = and_(self._table.c.subject == subject, self._table.c.code_digest.in_(digests))
        return await self._held(tx, purpose, condition)

    async def take(self, tx: AsyncConnection, held: HeldToken) -> bool:
        """Spend a token that was found, in the transaction of its effect; False when somebody was faster."""
        table = self._table
        if held.user_id is not None:
            await self._lock(tx, held.user_id)
        spent = await tx.execute(delete(table).where(table.c.id == held.id, table.c.expires_at > self._clock()))
        return spent.rowcount == 1

    async def spend(self, tx: AsyncConnection, purpose: str, token: str) -> Mapping[str, Any] | None:
        """The payload, once; None when it is unknown, used or expired."""
        held = await self.find(tx, purpose, token)
        return held.payload if held is not None and await self.take(tx, held) else None

    async def end(
        self, tx: AsyncConnection, purpose: str, *, user: User | None = None, subject: str | None = None
    ) -> None:
        """End what was issued for a purpose to a user, or about a subject."""
        of_user = self._table.c.user_id == user.id if user else None
        chosen = [one for one in (of_user, self._table.c.subject == subject if subject else None) if one is not None]
        await tx.execute(delete(self._table).where(self._table.c.purpose == purpose, or_(*chosen)))

    def mint(self, purpose: str, prefix: str = "") -> MintedSecret:
        """A new secret for a table of the plugin's own; with a prefix it carries a checksum too."""
        secret = new_secret(self._random)
        text = with_checksum(prefix, secret) if prefix else secret
        return MintedSecret(text, self._keys.digest(purpose, text))

    def digests(self, purpose: str, text: str, prefix: str = "") -> Sequence[bytes]:
        """What a presented secret may be stored as, one a key of the ring; empty when its form is wrong."""
        formed = has_checksum(prefix, text) if prefix else _SECRET.fullmatch(text)
        return self._keys.digests(purpose, text) if formed else ()

    async def _held(self, tx: AsyncConnection, purpose: str, condition: ColumnElement[bool]) -> HeldToken | None:
        table = self._table
        columns = (table.c.id, table.c.purpose, table.c.user_id, table.c.payload)
        live = (table.c.purpose == purpose, table.c.expires_at > self._clock())
        found = (await tx.execute(select(*columns).where(condition, *live))).first()
        return None if found is None else HeldToken(*found)

    async def _lock(self, tx: AsyncConnection, user_id: Any) -> None:
        users = self._users
        await tx.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


def _code_purpose(purpose: str, subject: str | None) -> str:
    """A code alone is short: bound to its subject, one digest never fits two rows."""
    return f"code of {purpose} for {subject}"

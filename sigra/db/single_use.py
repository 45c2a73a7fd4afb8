"""Secrets that work once: the database decides who was first, by the number of rows that one statement deletes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.crypto import KeyRing, has_checksum, new_secret, with_checksum
from sigra.db.batches import delete_batch
from sigra.db.identifiers import uuid7
from sigra.db.schema import USERS
from sigra.errors import Unavailable
from sigra.messages import Mint
from sigra.models import HeldToken, MintedSecret, User

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")

CODE_DIGITS = 8
CODE_TRIES = 5
"""Guesses at a code: 5 in 10**8 is 1 in 20 million (NIST SP 800-63B-4, section 3.2.2, asks for 1 in a million)."""

REPLACING = 3
"""How often a token tries to take another's place."""


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
        """A new single-use token; the older one of the same purpose and subject (else user) ends.

        Raises:
            Unavailable: Too many are issued about the subject at once.
        """
        mint = Mint(purpose, "", lifetime, payload, subject)
        secret = new_secret(self._random)
        if not await self._store(tx, mint, user.id if user else None, secret):
            raise Unavailable
        return secret

    async def issue_derived(
        self, tx: AsyncConnection, mint: Mint, user_id: uuid.UUID | None, seed: uuid.UUID, asked_at: datetime
    ) -> Derived | None:
        """Make good the secrets of a message; None when a message that was asked for later has its own already.

        Args:
            seed: The message's id.
            asked_at: When the message was put into the outbox; those of one time go by who is rendered last.
        """
        derived = self._derived(mint.purpose, seed)[0]
        stored = await self._store(tx, mint, user_id, derived.token, derived.code if mint.code else None, asked_at)
        return derived if stored else None

    async def standing(self, tx: AsyncConnection, purpose: str, seed: uuid.UUID) -> Derived | None:
        """The secrets of a message that were made good before, while they stay unspent; under whichever key."""
        for derived in self._derived(purpose, seed):
            if await self.find(tx, purpose, derived.token) is not None:
                return derived
        return None

    def _derived(self, purpose: str, seed: uuid.UUID) -> list[Derived]:
        """The secrets of a message, one a key, the same each time that it is rendered: it may be sent twice."""
        tokens = self._keys.derive(f"token of {purpose}", seed.bytes)
        codes = self._keys.derive(f"code of {purpose}", seed.bytes)
        return [Derived(_text(token), _digits(code)) for token, code in zip(tokens, codes, strict=True)]

    async def _store(
        self,
        tx: AsyncConnection,
        mint: Mint,
        user_id: uuid.UUID | None,
        secret: str,
        code: str | None = None,
        asked_at: datetime | None = None,
    ) -> bool:
        if user_id is not None:
            # Those issued at once wait for each other here, rather than fail on each other's rows.
            await self._lock(tx, user_id)
        purpose, now = mint.purpose, self._clock()
        subject = str(user_id) if mint.subject is None and user_id is not None else mint.subject
        values = {
            "id": uuid7(self._clock, self._random),
            "purpose": purpose,
            "digest": self._keys.digest(purpose, secret),
            "user_id": user_id,
            "subject": subject,
            "code_digest": None if code is None else self._keys.digest(_code_purpose(purpose, subject), code),
            "code_tries": 0,
            "payload": dict(mint.payload),
            "created_at": asked_at or now,
            "expires_at": now + mint.lifetime,
        }
        return await self._replace(tx, values, older_only=asked_at is not None)

    async def _replace(self, tx: AsyncConnection, values: Mapping[str, Any], *, older_only: bool) -> bool:
        """Insert a row in place of the one about the same subject; False when that one must stay, being newer."""
        table = self._table
        if values["subject"] is None:
            await tx.execute(insert(table).values(values))
            return True
        ended = delete(table).where(table.c.purpose == values["purpose"], table.c.subject == values["subject"])
        if older_only:
            # What has expired is no longer in anybody's way, however new.
            ended = ended.where(or_(table.c.created_at <= values["created_at"], table.c.expires_at <= self._clock()))
        # Without a user to lock, another may insert between the two statements: then it is there to be ended.
        for _ in range(REPLACING):
            await tx.execute(ended)
            try:
                async with tx.begin_nested():
                    await tx.execute(insert(table).values(values))
            except IntegrityError:
                continue
            return True
        return False

    async def find(self, tx: AsyncConnection, purpose: str, token: str) -> HeldToken | None:
        """What a token would give, while it stays unspent; None when it is unknown, used or expired."""
        digests = self.digests(purpose, token)
        if not digests:
            return None
        return await self._held(tx, purpose, self._table.c.digest.in_(digests))

    async def count_code(self, tx: AsyncConnection, purpose: str, subject: str) -> bool:
        """Use up a try at the code of a subject, in a transaction of its own before `find_by_code` looks at it.

        False when there is no code at all. It need not be asked: `find_by_code` itself finds nothing then, nor after
        the last try, nor when nothing was counted.
        """
        table = self._table
        counted = await tx.execute(
            update(table)
            .where(table.c.purpose == purpose, table.c.subject == subject, table.c.expires_at > self._clock())
            .values(code_tries=table.c.code_tries + 1)
        )
        return counted.rowcount == 1

    async def find_by_code(self, tx: AsyncConnection, purpose: str, subject: str, code: str) -> HeldToken | None:
        """What the token of a subject would give, by its code; only within the tries that `count_code` counted."""
        table = self._table
        digests = self._keys.digests(_code_purpose(purpose, subject), code)
        tried = table.c.code_tries.between(1, CODE_TRIES)
        return await self._held(tx, purpose, and_(table.c.subject == subject, table.c.code_digest.in_(digests), tried))

    async def waits(self, tx: AsyncConnection, purpose: str, subject: str) -> bool:
        """Whether something that was issued about a subject is neither spent nor expired."""
        return await self._held(tx, purpose, self._table.c.subject == subject) is not None

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
        table = self._table
        # Nobody has no tokens: `IS NULL` is not asked, or everybody's without a user would end.
        chosen = or_(table.c.user_id.in_([user.id] if user else []), table.c.subject.in_([subject] if subject else []))
        await tx.execute(delete(table).where(table.c.purpose == purpose, chosen))

    async def sweep(self, tx: AsyncConnection) -> bool:
        """Delete a batch of what has expired; whether more may be left."""
        return await delete_batch(tx, self._table, self._table.c.expires_at <= self._clock())

    def mint(self, purpose: str, prefix: str = "") -> MintedSecret:
        """A new secret for a table of the plugin's own; with a prefix it carries a checksum too."""
        secret = new_secret(self._random)
        text = with_checksum(prefix, secret) if prefix else secret
        return MintedSecret(text, self._keys.digest(purpose, text))

    def digest(self, purpose: str, text: str) -> bytes:
        """Any text as a table keeps it that must not tell it; never equal to a secret's digest."""
        return self._keys.digest(f"text of {purpose}", text)

    def text_digests(self, purpose: str, text: str) -> Sequence[bytes]:
        """What `digest` may have kept a text as: one a key of the ring."""
        return self._keys.digests(f"text of {purpose}", text)

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


def _text(key: bytes) -> str:
    return new_secret(lambda _: key)


def _digits(key: bytes) -> str:
    """A number of eight digits; taken from 256 bits, no one is likelier than another by more than 2**-229."""
    return f"{int.from_bytes(key, 'big') % 10**CODE_DIGITS:0{CODE_DIGITS}}"

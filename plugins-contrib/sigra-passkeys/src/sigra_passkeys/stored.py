"""The tables: passkeys, and the random handle by which authenticators know a user."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    LargeBinary,
    MetaData,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, Conflict, User, timestamp
from sigra.db import Digest, Id, UTCDateTime, user_ref
from sigra_passkeys.relying_party import LONGEST_ID, LONGEST_KEY, Asserted, Descriptor, Known, Registered
from sigra_passkeys.shapes import PublicPasskey

MOST = 10
"""Passkeys of one account."""

HANDLE_BYTES = 32
"""Random bytes by which authenticators know a user; never the user's id (Level 3, section 14.6.1)."""

TOO_MANY = f"The account has {MOST} passkeys already. Remove one first."
THERE = "This passkey is registered already."


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as it is stored."""

    id: uuid.UUID
    user_id: uuid.UUID
    name: str
    known: Known
    sign_count: int
    transports: tuple[str, ...]
    verified: bool
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None

    def public(self) -> PublicPasskey:
        """What its user may see."""
        return {
            "id": str(self.id),
            "name": self.name,
            "created_at": timestamp(self.created_at),
            "last_used_at": None if self.last_used_at is None else timestamp(self.last_used_at),
            "transports": list(self.transports),
            "backed_up": self.backed_up,
        }

    def went_back(self, shown: Asserted) -> bool:
        """Whether its counter did not grow, as with a copy (Level 3, section 6.1.1); synced passkeys stay at 0."""
        return shown.sign_count <= self.sign_count and (shown.sign_count, self.sign_count) != (0, 0)

    @property
    def descriptor(self) -> Descriptor:
        """How options name it."""
        return Descriptor(self.known.credential_id, self.transports)


class Stored:
    """`sigra_passkeys` and `sigra_passkeys_users`."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_passkeys",
            metadata,
            Column("id", Id(), primary_key=True),
            user_ref(),
            # A database indexes no column of that length as a whole.
            Column("credential_digest", Digest(), nullable=False),
            Column("credential_id", LargeBinary(LONGEST_ID), nullable=False),
            Column("public_key", LargeBinary(LONGEST_KEY), nullable=False),
            Column("sign_count", BigInteger, nullable=False),
            Column("aaguid", String(36), nullable=False),
            Column("transports", String(128), nullable=False),
            Column("verified", Boolean, nullable=False),
            Column("backup_eligible", Boolean, nullable=False),
            Column("backed_up", Boolean, nullable=False),
            Column("name", String(100), nullable=False),
            Column("created_at", UTCDateTime, nullable=False),
            Column("last_used_at", UTCDateTime),
            # Not unique by itself: a conflict with somebody else's would tell that there is one.
            UniqueConstraint("user_id", "credential_digest", name="uq_sigra_passkeys_credential"),
        )
        self.handles = Table(
            "sigra_passkeys_users",
            metadata,
            user_ref(primary_key=True),
            Column("handle", Digest(), nullable=False, unique=True),
        )

    async def handle(self, auth: Auth, tx: AsyncConnection, user: User) -> bytes:
        """The user's handle, made where there is none; the user is locked."""
        await auth.users.lock(tx, user.id)
        found = await self.handle_of(tx, user.id)
        if found is None:
            found = auth.random(HANDLE_BYTES)
            await tx.execute(insert(self.handles).values(user_id=user.id, handle=found))
        return found

    async def handle_of(self, tx: AsyncConnection, user_id: uuid.UUID) -> bytes | None:
        """The user's handle; None when there is none."""
        found = await tx.scalar(select(self.handles.c.handle).where(self.handles.c.user_id == user_id))
        return None if found is None else bytes(found)

    async def of(self, tx: AsyncConnection, user_id: uuid.UUID) -> list[Passkey]:
        """The passkeys of a user, the oldest first."""
        query = select(self.table).where(self.table.c.user_id == user_id)
        rows = await tx.execute(query.order_by(self.table.c.created_at, self.table.c.id))
        return [_passkey(row) for row in rows.mappings()]

    async def count(self, tx: AsyncConnection, user: User) -> int:
        """How many a user has."""
        query = select(func.count()).select_from(self.table).where(self.table.c.user_id == user.id)
        return int(await tx.scalar(query) or 0)

    async def owner(self, tx: AsyncConnection, handle: bytes) -> uuid.UUID | None:
        """Whose handle it is; None when nobody's."""
        found: uuid.UUID | None = await tx.scalar(select(self.handles.c.user_id).where(self.handles.c.handle == handle))
        return found

    async def find(self, tx: AsyncConnection, user_id: uuid.UUID, credential_id: bytes) -> Passkey | None:
        """The passkey of a user that has that id."""
        its = (self.table.c.user_id == user_id) & (self.table.c.credential_digest == _digest(credential_id))
        row = (await tx.execute(select(self.table).where(its))).mappings().first()
        return None if row is None or bytes(row["credential_id"]) != credential_id else _passkey(row)

    async def add(self, auth: Auth, tx: AsyncConnection, user: User, new: Registered, name: str) -> Passkey:
        """Store a new one; the user is locked.

        Raises:
            Conflict: The account has too many, or has this one already.
        """
        if await self.count(tx, user) >= MOST:
            raise Conflict(TOO_MANY)
        known = Known(new.credential_id, new.public_key, new.backup_eligible)
        passkey = Passkey(
            uuid.uuid4(),
            user.id,
            name,
            known,
            new.sign_count,
            new.transports,
            new.verified,
            new.backed_up,
            auth.clock(),
            None,
        )
        try:
            async with tx.begin_nested():
                await tx.execute(insert(self.table).values(_row(passkey, new.aaguid)))
        except IntegrityError as error:
            raise Conflict(THERE) from error
        return passkey

    async def use(self, auth: Auth, tx: AsyncConnection, passkey: Passkey, shown: Asserted) -> bool:
        """Note what it has shown; False when it was used or removed since it was read."""
        same = (self.table.c.id == passkey.id) & (self.table.c.sign_count == passkey.sign_count)
        values = {
            # One that went back is told of again at the next use.
            "sign_count": max(shown.sign_count, passkey.sign_count),
            "backed_up": shown.backed_up,
            "last_used_at": auth.clock(),
        }
        return (await tx.execute(update(self.table).where(same).values(values))).rowcount == 1

    async def rename(self, tx: AsyncConnection, user: User, id: uuid.UUID, name: str) -> bool:
        """Whether the user has it."""
        its = (self.table.c.id == id) & (self.table.c.user_id == user.id)
        await tx.execute(update(self.table).where(its).values(name=name))
        return (await tx.execute(select(self.table.c.id).where(its))).first() is not None

    async def remove(self, tx: AsyncConnection, user: User, id: uuid.UUID) -> Passkey | None:
        """The one that is gone; None when the user had none of that id."""
        its = (self.table.c.id == id) & (self.table.c.user_id == user.id)
        row = (await tx.execute(select(self.table).where(its))).mappings().first()
        if row is None or (await tx.execute(delete(self.table).where(its))).rowcount != 1:
            return None
        return _passkey(row)

    async def clear(self, tx: AsyncConnection, user: User) -> None:
        """Remove all of a user's, and the handle: whatever comes back is unknown."""
        for table in (self.table, self.handles):
            await tx.execute(delete(table).where(table.c.user_id == user.id))

    async def clear_all(self, tx: AsyncConnection) -> int:
        """Remove everybody's; how many."""
        await tx.execute(delete(self.handles))
        return (await tx.execute(delete(self.table))).rowcount


def _digest(credential_id: bytes) -> bytes:
    return hashlib.sha256(credential_id).digest()


def _row(passkey: Passkey, aaguid: str) -> Mapping[str, Any]:
    return {
        "id": passkey.id,
        "user_id": passkey.user_id,
        "credential_digest": _digest(passkey.known.credential_id),
        "credential_id": passkey.known.credential_id,
        "public_key": passkey.known.public_key,
        "sign_count": passkey.sign_count,
        "aaguid": aaguid,
        "transports": " ".join(passkey.transports),
        "verified": passkey.verified,
        "backup_eligible": passkey.known.backup_eligible,
        "backed_up": passkey.backed_up,
        "name": passkey.name,
        "created_at": passkey.created_at,
    }


def _passkey(row: RowMapping) -> Passkey:
    transports: Sequence[str] = row["transports"].split()
    known = Known(bytes(row["credential_id"]), bytes(row["public_key"]), row["backup_eligible"])
    return Passkey(
        row["id"],
        row["user_id"],
        row["name"],
        known,
        row["sign_count"],
        tuple(transports),
        row["verified"],
        row["backed_up"],
        row["created_at"],
        row["last_used_at"],
    )

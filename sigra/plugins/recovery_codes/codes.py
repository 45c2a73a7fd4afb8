"""The codes: how one is written, how it is read whatever a person made of it, and where they are kept."""

from __future__ import annotations

import base64
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Column, MetaData, Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db import Digest, Id, UTCDateTime, user_ref
from sigra.models import User

COUNT = 10
"""Codes of a list."""

BYTES = 15
"""120 bits: a secret of 112 or more needs no slow hash (NIST SP 800-63B, section 5.1.2.2)."""

GROUP = 4

_LOOKALIKES = MappingProxyType(str.maketrans("018", "OIB"))
"""Digits that base32 leaves out, and the letters that they are taken for (RFC 4648, section 6)."""

_LEFT_OUT = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Pd"})
"""Spaces, ends of lines, what cannot be seen, and dashes: the general categories of Unicode."""


def written(random: bytes) -> str:
    """A code as a person gets it: base32 in groups of four (RFC 4648, section 6)."""
    text = base64.b32encode(random).decode("ascii")
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def canonical(text: str) -> str:
    """The one form of a code, whatever was typed for it: capitals, without anything between them."""
    folded = unicodedata.normalize("NFKC", text).upper().replace("\N{MINUS SIGN}", "")
    kept = "".join(char for char in folded if unicodedata.category(char) not in _LEFT_OUT)
    return kept.translate(_LOOKALIKES)


class Codes:
    """The table `sigra_recovery_codes`: a row for each code that is not used."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "sigra_recovery_codes",
            metadata,
            Column("id", Id(), primary_key=True),
            user_ref(),
            Column("digest", Digest(), nullable=False, unique=True),
            Column("created_at", UTCDateTime, nullable=False),
        )

    async def replace(self, tx: AsyncConnection, user: User, digests: Sequence[bytes], now: datetime) -> None:
        """Give the user, who is locked, these codes; the old ones end."""
        await self.end(tx, user)
        rows = [{"id": uuid.uuid4(), "user_id": user.id, "digest": digest, "created_at": now} for digest in digests]
        await tx.execute(insert(self.table), rows)

    async def spend(self, tx: AsyncConnection, user: User, digests: Sequence[bytes]) -> bool:
        """Use a code up; False when it is none of the user's, or somebody was faster."""
        table = self.table
        spent = await tx.execute(delete(table).where(table.c.user_id == user.id, table.c.digest.in_(digests)))
        return spent.rowcount == 1

    async def made(self, tx: AsyncConnection, user: User) -> Sequence[datetime]:
        """When each code was made that is not used."""
        table = self.table
        return list(await tx.scalars(select(table.c.created_at).where(table.c.user_id == user.id)))

    async def remaining(self, tx: AsyncConnection, user: User) -> int:
        """How many codes are not used."""
        table = self.table
        return await tx.scalar(select(func.count()).select_from(table).where(table.c.user_id == user.id)) or 0

    async def end(self, tx: AsyncConnection, user: User) -> None:
        """Take all codes of a user."""
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    async def end_all(self, tx: AsyncConnection) -> int:
        """Take everybody's; how many there were."""
        return (await tx.execute(delete(self.table))).rowcount

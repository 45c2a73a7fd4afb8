"""What the core ends when its database is an old backup: hard to tell what was used or ended since, so all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import MetaData, delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.db.schema import USERS

ENDED: Mapping[str, str] = MappingProxyType(
    {
        "sign-ins under way": "sigra_pending_sign_ins",
        "mailed tokens": "sigra_tokens",
        # A message that waits would make its token anew, also one that was used long ago.
        "mails that wait": "sigra_outbox",
        "limits": "sigra_limits",
    }
)
"""Tables that are emptied, by what is in them."""

STEP_BITS = 48
"""More than an account's version can have moved since the backup, were it by a million a second for eight years."""


async def end_own(tx: AsyncConnection, metadata: MetaData, random: Callable[[int], bytes]) -> dict[str, int]:
    """End what the core's tables hold, and every proof that was given before; how many of what."""
    tables = metadata.tables
    ended = {what: (await tx.execute(delete(tables[name]))).rowcount for what, name in ENDED.items()}
    version = tables[USERS].c.security_version
    moved = await tx.execute(update(tables[USERS]).values(security_version=version + step(random)))
    return {"accounts whose earlier proofs ended": moved.rowcount, **ended}


def step(random: Callable[[int], bytes]) -> int:
    """By how much every version moves.

    Past all that the lost time can have reached; and at random, so that a backup that is restored a second time does
    not meet the versions that were given out after the first.
    """
    return (1 << STEP_BITS) + int.from_bytes(random(STEP_BITS // 8), "big")

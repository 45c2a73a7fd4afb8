"""Whether mail goes out: what was given up, and what nobody takes up."""

from __future__ import annotations

from datetime import timedelta

from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra

SUBJECT = "outbox"

NEGLECTED = timedelta(hours=1)
"""How long something may be due: a worker looks every few seconds."""


async def findings(auth: Sigra) -> list[Finding]:
    """What is wrong in the outbox."""
    async with auth.db.connect() as tx:
        found = await auth.outbox.list(tx)
    dead = sum(one.dead_at is not None for one in found)
    neglected = sum(one.dead_at is None and one.due_at <= auth.clock() - NEGLECTED for one in found)
    return [*_dead(dead), *_neglected(neglected)]


def _dead(count: int) -> list[Finding]:
    if not count:
        return []
    return [
        Finding(
            SUBJECT,
            f"{count} of the mails that wait were given up.",
            "See why by `sigra outbox list`, mend it, and run `sigra outbox retry`.",
        )
    ]


def _neglected(count: int) -> list[Finding]:
    if not count:
        return []
    return [
        Finding(
            SUBJECT,
            f"{count} of the mails that wait have been due for more than an hour: nobody sends them.",
            "Run `sigra worker`, or remove SIGRA_WORKER=false where the application runs.",
        )
    ]

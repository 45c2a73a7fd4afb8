"""What is older than the retention goes, from the chain's start; an anchor stays from which the rest is verified."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth
from sigra_audit.chain import ANCHOR, START, Link, anchor_row, link_of, vouches
from sigra_audit.keys import Keys
from sigra_audit.tables import Tables
from sigra_audit.verifying import Tampered, Walk, sealed

_log = logging.getLogger("sigra.audit")

BATCH = 500

DENIED = frozenset({"42501", 1142, 1143, 1044})
"""insufficient_privilege (PostgreSQL, appendix A); table, column, database access denied (MariaDB's error codes)."""


@dataclass(frozen=True)
class Retention:
    """Takes away the oldest rows.

    Args:
        keep: How long a row stays.
        sinks: The cursors of the sinks that a row must have reached before it goes.
    """

    auth: Auth
    tables: Tables
    keys: Keys
    keep: timedelta
    sinks: Sequence[str]

    async def prune(self) -> int:
        """Take away all that is too old; how many rows that were.

        Raises:
            Tampered: What would go is not what was written: nothing goes.
        """
        pruned = 0
        while done := await self.auth.db.transaction(self._batch):
            pruned += done
        return pruned

    async def job(self) -> bool:
        """One batch; whether more may be left. Where the application may not delete, nothing happens."""
        try:
            return await self.auth.db.transaction(self._batch) == BATCH
        except DBAPIError as error:
            if not is_denied(error):
                raise
            _log.info("audit rows stay: this role may not delete them; run `sigra audit prune` as one that may")
        except Tampered as error:
            _log.error("audit rows stay: %s", error)
        return False

    async def _batch(self, tx: AsyncConnection) -> int:
        # One at a time, and none beside the sealer.
        await self.auth.db.hold(tx, self.tables.cursors, {"name": "sealer", "position": 0, "held_until": None})
        start = await self._start(tx)
        old = await self._old(tx, start, self.auth.clock() - self.keep)
        if not old:
            return 0
        walk = Walk(start, self.keys)
        for row in old:
            walk.step(row)
        link = walk.link
        await self._until_vouched(tx, walk)
        await self._take(tx, old, link)
        return len(old)

    async def _until_vouched(self, tx: AsyncConnection, walk: Walk) -> None:
        """Go on from rows whose key is gone to a seal that vouches for them: what goes cannot be looked at again."""
        while walk.unvouched is not None:
            rows = (await tx.execute(sealed(self.tables, walk.link.position).limit(BATCH))).mappings().all()
            if not rows:
                walk.end()
            for row in rows:
                walk.step(dict(row))

    async def _start(self, tx: AsyncConnection) -> Link:
        anchors = self.tables.anchors
        row = (await tx.execute(select(anchors).order_by(anchors.c.position.desc()).limit(1))).mappings().first()
        if row is not None and not vouches(row, ANCHOR, self.keys):
            raise Tampered("the anchor is not authentic, or its key is not there", row["position"])
        return START if row is None else link_of(row)

    async def _old(self, tx: AsyncConnection, start: Link, before: datetime) -> list[dict[str, Any]]:
        rows = [dict(row) for row in (await tx.execute(sealed(self.tables, start.position).limit(BATCH))).mappings()]
        reached = await self._reached(tx)
        # The last place stays: the next is chained to a seal, and its time tells since when rows may wait.
        last = await tx.scalar(select(func.max(self.tables.seals.c.position)))
        limit = min([*reached, (last or 0) - 1])
        old: list[dict[str, Any]] = []
        for row in rows:
            if row["made_at"] >= before or row["position"] > limit:
                break
            old.append(row)
        return old

    async def _reached(self, tx: AsyncConnection) -> list[int]:
        cursors = self.tables.cursors
        query = select(cursors.c.name, cursors.c.position).where(cursors.c.name.in_(self.sinks))
        known = {row.name: row.position for row in await tx.execute(query)}
        return [known.get(name, 0) for name in self.sinks]

    async def _take(self, tx: AsyncConnection, old: Sequence[dict[str, Any]], link: Link) -> None:
        entries, seals, anchors = self.tables.entries, self.tables.seals, self.tables.anchors
        await tx.execute(insert(anchors).values(anchor_row(link, self.auth.clock(), self.keys)))
        await tx.execute(delete(anchors).where(anchors.c.position < link.position))
        await tx.execute(delete(seals).where(seals.c.position <= link.position))
        await tx.execute(delete(entries).where(entries.c.id.in_([row["entry_id"] for row in old])))


def is_denied(error: DBAPIError) -> bool:
    """Whether the database refused because the role may not do it."""
    cause = error.orig
    said = (getattr(cause, "sqlstate", None), *(() if cause is None else cause.args[:1]))
    return any(isinstance(code, str | int) and code in DENIED for code in said)

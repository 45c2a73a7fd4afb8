"""What `sigra audit verify` does: walks the chain from its start, in pages, and names the first row that is wrong."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth
from sigra_audit.chain import ANCHOR, SEAL, START, Checkpoint, Link, link_of, vouches
from sigra_audit.entries import FIELDS, entry_of, first_id, is_authentic
from sigra_audit.keys import Keys
from sigra_audit.tables import Tables

PAGE = 1000

WINDOW = timedelta(minutes=1)
"""How old a row may be without a place in the chain: the sealer takes a second."""


class Tampered(Exception):
    """Raised for the first row that is not what was written; its text names the row and says what is wrong.

    Args:
        position: Its place in the chain; None when it has none.
    """

    def __init__(self, what: str, position: int | None = None) -> None:
        self.position = position
        super().__init__(what if position is None else f"position {position}: {what}")


@dataclass
class Verified:
    """What was found to be intact.

    Args:
        start: Where the chain begins, after what retention took away.
        head: Where it ends.
        fresh: Rows that are younger than the window and have no place yet.
    """

    start: Link = START
    head: Link = START
    fresh: list[uuid.UUID] = field(default_factory=list)
    fresh_count: int = 0

    @property
    def count(self) -> int:
        """How many rows have a place."""
        return self.head.position - self.start.position


@dataclass(frozen=True)
class Verifier:
    """Compares every row with its MAC and its place."""

    auth: Auth
    tables: Tables
    keys: Keys

    async def verify(self, checkpoint: Checkpoint | None = None) -> Verified:
        """Look at everything.

        Raises:
            Tampered: Names the first row that was edited, removed, moved or inserted.
        """
        while True:
            start = await self._start()
            try:
                return await self._verified(start, checkpoint)
            except Tampered:
                # Retention may have taken away what was just being looked at.
                if start == await self._start():
                    raise

    async def _verified(self, start: Link, checkpoint: Checkpoint | None) -> Verified:
        found = Verified(start, start)
        walk = Walk(start, self.keys, None if checkpoint is None else checkpoint.link)
        async for row in self._sealed(start.position):
            walk.step(row)
        found.head = walk.end()
        await self._unsealed(found)
        return found

    async def _start(self) -> Link:
        anchors = self.tables.anchors
        found = await self._read(select(anchors).order_by(anchors.c.position.desc()).limit(1), "the anchor")
        async with self.auth.db.connect() as tx:
            first = await tx.scalar(select(func.min(self.tables.seals.c.position)))
        if not found:
            # Or a row would seem to have a place, at which nobody looks.
            if first is not None and first <= START.position:
                raise Tampered("the seal was inserted: the chain begins after it", first)
            return START
        [row] = found
        vouched = vouches(row, ANCHOR, self.keys)
        if vouched is None:
            raise Tampered(
                "the anchor was made with a key that is not there: add it to SIGRA_AUDIT__KEYS", row["position"]
            )
        if not vouched:
            raise Tampered("the anchor, which stands for what retention took away, was edited", row["position"])
        # Retention makes an anchor and takes away what is before it in one transaction.
        if first is not None and first <= row["position"]:
            raise Tampered("the anchor was inserted: rows from before it are still there", row["position"])
        return link_of(row)

    async def _sealed(self, position: int) -> AsyncIterator[Mapping[Any, Any]]:
        while True:
            rows = await self._page(position)
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            position = rows[-1]["position"]

    async def _page(self, position: int) -> Sequence[Mapping[Any, Any]]:
        query = sealed(self.tables, position).limit(PAGE)
        async with self.auth.db.connect() as tx:
            try:
                return [dict(row) for row in (await tx.execute(query)).mappings()]
            except (ValueError, TypeError, OverflowError):
                return await self._one_by_one(tx, position)

    async def _one_by_one(self, tx: AsyncConnection, position: int) -> Sequence[Mapping[Any, Any]]:
        """A page in which some value cannot even be read: up to the row that holds it."""
        seals = self.tables.seals
        places = select(seals.c.position).where(seals.c.position > position).order_by(seals.c.position).limit(PAGE)
        rows: list[Mapping[Any, Any]] = []
        for place in list(await tx.scalars(places)):
            try:
                row = dict((await tx.execute(sealed(self.tables, place - 1).limit(1))).mappings().one())
            except (ValueError, TypeError, OverflowError):
                row = {"position": place, "unreadable": True}
            rows.append(row)
        return rows

    async def _read(self, query: Select[Any], what: str) -> Sequence[Mapping[Any, Any]]:
        """Rows that have no place by which one that cannot be read could be named."""
        try:
            async with self.auth.db.connect() as tx:
                rows: Sequence[Mapping[Any, Any]] = (await tx.execute(query)).mappings().all()
        except (ValueError, TypeError) as error:
            raise Tampered(f"{what} was inserted or edited: it cannot even be read") from error
        return rows

    async def _unsealed(self, found: Verified) -> None:
        entries, seals = self.tables.entries, self.tables.seals
        unsealed = ~exists(select(seals.c.position).where(seals.c.entry_id == entries.c.id))
        query = select(entries).where(unsealed).order_by(entries.c.id).limit(PAGE)
        page, oldest = query, first_id(self.auth.clock() - WINDOW)
        while rows := await self._read(page, "a row without a place in the chain"):
            for row in rows:
                self._check_fresh(row, oldest)
            found.fresh_count += len(rows)
            found.fresh += [row["id"] for row in rows][: 10 - len(found.fresh)]
            page = query.where(entries.c.id > rows[-1]["id"])

    def _check_fresh(self, row: Mapping[Any, Any], oldest: uuid.UUID) -> None:
        if row["id"] < oldest:
            raise Tampered(
                f"row {row['id']} was inserted, or never sealed: it is older than {WINDOW.seconds} seconds and has no "
                "place in the chain. If no process has run since, `sigra audit seal` gives it one"
            )
        if is_authentic(row, self.keys) is not True:
            raise Tampered(f"row {row['id']} was inserted or edited: it is not authentic")


@dataclass
class Walk:
    """One way along the chain, a row at a time.

    Args:
        link: Where it is now.
        checkpoint: A place that it must come by.
    """

    link: Link
    keys: Keys
    checkpoint: Link | None = None
    unvouched: int | None = None
    """The first place that no later seal vouches for yet."""

    def __post_init__(self) -> None:
        self._compare()

    def step(self, row: Mapping[Any, Any]) -> None:
        """Go on by a seal and its entry.

        Raises:
            Tampered: It is not what follows.
        """
        place = self.link.position + 1
        if row["position"] != place:
            raise Tampered("the row and its seal were removed", place)
        if row.get("unreadable"):
            raise Tampered("the row was edited: it cannot even be read", place)
        self.link = self._followed(row)
        self._vouch(row)
        self._compare()

    def end(self) -> Link:
        """The end of the chain.

        Raises:
            Tampered: Something is missing there, or nothing vouches for it.
        """
        if self.unvouched is not None:
            raise Tampered(
                "this and what follows was sealed with a key that is not there: add it to SIGRA_AUDIT__KEYS",
                self.unvouched,
            )
        if self.checkpoint is not None and self.checkpoint.position > self.link.position:
            raise Tampered(
                f"the row and all after it were removed: the checkpoint saw {self.checkpoint.position}",
                self.link.position + 1,
            )
        return self.link

    def _followed(self, row: Mapping[Any, Any]) -> Link:
        if row["id"] is None:
            raise Tampered(f"row {row['entry_id']} was removed", row["position"])
        link = self.link.following(row["entry_id"], entry_of(row).digest())
        authentic = is_authentic({**row, "key_id": row["entry_key_id"], "mac": row["entry_mac"]}, self.keys)
        if authentic is False:
            raise Tampered(f"row {row['id']} was edited", row["position"])
        if link != link_of(row):
            # An authentic row at a place that is not its own.
            what = "was moved, or its seal edited" if authentic else "was edited"
            raise Tampered(f"row {row['id']} {what}", row["position"])
        return link

    def _vouch(self, row: Mapping[Any, Any]) -> None:
        vouched = vouches(row, SEAL, self.keys)
        if vouched is False:
            raise Tampered(f"the seal of row {row['id']} was edited", row["position"])
        if vouched:
            self.unvouched = None
        elif self.unvouched is None:
            self.unvouched = row["position"]

    def _compare(self) -> None:
        seen = self.checkpoint
        if seen is not None and seen.position == self.link.position and seen.hash != self.link.hash:
            raise Tampered("the chain up to here is another one than the checkpoint saw", self.link.position)


def sealed(tables: Tables, position: int) -> Select[Any]:
    """The places after one, in order, each with its row, whose own key and MAC are `entry_key_id` and `entry_mac`."""
    entries, seals = tables.entries, tables.seals
    its = [entries.c[name] for name in FIELDS]
    own = [entries.c.key_id.label("entry_key_id"), entries.c.mac.label("entry_mac")]
    return (
        select(*seals.c, *its, *own)
        .select_from(seals.outerjoin(entries, entries.c.id == seals.c.entry_id))
        .where(seals.c.position > position)
        .order_by(seals.c.position)
    )

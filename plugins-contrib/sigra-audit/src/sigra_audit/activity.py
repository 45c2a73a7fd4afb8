"""What users see of the record: what happened to their own account, page by page, the newest first."""

from __future__ import annotations

import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import select
from typing_extensions import TypedDict

from sigra import Auth, SigraError, User
from sigra_audit.entries import entry_of, moment
from sigra_audit.keys import Keys
from sigra_audit.tables import Tables

CURSOR = "cursor"
"""The label of a cursor's MAC."""

DEFAULT, MAXIMUM = 50, 100
MAC_BYTES = 16
"""128 bits: nobody makes one up (NIST SP 800-107, section 5.3.3)."""

ALL = 1000
"""Rows of a query for an export."""


class InvalidPage(SigraError):
    """Raised for a cursor that is none of ours for this user, or a limit that is no number from 1 to 100.

    Cure: Take `next` of the answer before as `cursor`, as it is.
    """

    code, status, title = "audit_invalid_page", 400, "No such page"
    detail = "The cursor or the limit cannot be used."


class PublicEvent(TypedDict):
    """A row, as the user may see whose account it is about.

    `client` and `user_agent` are there when the user, or nobody who was signed in, has done it.
    """

    id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    occurred_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    name: str
    outcome: str
    own: bool
    client: str | None
    user_agent: str | None


class Events(TypedDict):
    """A page of the record; `next` is the cursor of the page after it, None on the last."""

    events: list[PublicEvent]
    next: str | None


@dataclass(frozen=True)
class Activity:
    """Reads a user's rows."""

    auth: Auth
    tables: Tables
    keys: Keys

    async def page(self, user: User, cursor: str | None = None, limit: int = DEFAULT) -> Events:
        """A page of what happened to an account.

        Raises:
            InvalidPage: The cursor is not one that this user was given.
        """
        before = None if cursor is None else self._opened(user, cursor)
        rows = await self._rows(user, before, limit + 1)
        more = len(rows) > limit
        events = [public(row, user) for row in rows[:limit]]
        return {"events": events, "next": self._closed(user, rows[limit - 1]["id"]) if more else None}

    async def all(self, user: User) -> list[PublicEvent]:
        """All that happened to an account."""
        events: list[PublicEvent] = []
        before: uuid.UUID | None = None
        while rows := await self._rows(user, before, ALL):
            events += [public(row, user) for row in rows]
            before = rows[-1]["id"]
        return events

    async def _rows(self, user: User, before: uuid.UUID | None, limit: int) -> Sequence[Mapping[Any, Any]]:
        entries = self.tables.entries
        query = select(entries).where(entries.c.subject_id == str(user.id)).order_by(entries.c.id.desc()).limit(limit)
        async with self.auth.db.connect() as tx:
            found = await tx.execute(query if before is None else query.where(entries.c.id < before))
            return found.mappings().all()

    def _closed(self, user: User, id: uuid.UUID) -> str:
        """A place in a user's record, as text that says nothing and is of use to nobody else."""
        _, mac = self.keys.sign(CURSOR, user.id.bytes + id.bytes)
        return urlsafe_b64encode(id.bytes + mac[:MAC_BYTES]).rstrip(b"=").decode()

    def _opened(self, user: User, cursor: str) -> uuid.UUID:
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", cursor):
            raise InvalidPage
        data = urlsafe_b64decode(f"{cursor}=")
        id = uuid.UUID(bytes=data[:16])
        if urlsafe_b64encode(data).rstrip(b"=").decode() != cursor or not self._is_ours(user, id, data[16:]):
            raise InvalidPage
        return id

    def _is_ours(self, user: User, id: uuid.UUID, mac: bytes) -> bool:
        return self.keys.verify_by_any(CURSOR, user.id.bytes + id.bytes, mac, MAC_BYTES)


def limit_of(text: str | None) -> int:
    """How many rows a page has.

    Raises:
        InvalidPage: It is no number from 1 to 100.
    """
    if text is None:
        return DEFAULT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAXIMUM:
        raise InvalidPage
    return int(text)


def public(row: Mapping[Any, Any], user: User) -> PublicEvent:
    """What the user may see: of somebody else who acted, neither who nor from where."""
    entry = entry_of(row)
    own = entry.actor_id in (None, str(user.id))
    return {
        "id": str(entry.id),
        "occurred_at": moment(entry.occurred_at),
        "name": entry.name,
        "outcome": entry.outcome,
        "own": own,
        "client": entry.client if own else None,
        "user_agent": entry.user_agent if own else None,
    }

"""One row: an event of any plugin in a form of its own, and the one text of it that is authenticated."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sigra import Event
from sigra_audit.keys import Keys
from sigra_audit.redaction import identifier, metadata_text, plain
from sigra_audit.tables import AGENT_LENGTH, ID_LENGTH, NAME_LENGTH, REASON_LENGTH

ENTRY = "entry"
"""The label of a row's MAC."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a row says, each field as it is stored.

    Args:
        id: Sorts by the time that the row was written.
        actor_id: Who did it; None when nobody was signed in, and for what the command line or later work did.
        subject_id: Whose account it is about.
        metadata: A JSON object.
    """

    id: uuid.UUID
    occurred_at: datetime
    name: str
    outcome: str
    actor_id: str | None
    subject_id: str | None
    session_id: str | None
    client: str | None
    user_agent: str | None
    reason: str | None
    request_id: str | None
    metadata: str

    def digest(self) -> bytes:
        """SHA-256 of all fields, the id too: a row that is another's, or of another table, has another one."""
        values = [getattr(self, name) for name in FIELDS]
        texts = ["sigra_audit", 1, *(_canonical(value) for value in values)]
        return hashlib.sha256(json.dumps(texts, separators=(",", ":")).encode("ascii")).digest()

    def row(self, keys: Keys) -> dict[str, Any]:
        """The row, with what makes it authentic."""
        key_id, mac = keys.sign(ENTRY, self.digest())
        return {**{name: getattr(self, name) for name in FIELDS}, "key_id": key_id, "mac": mac}

    def record(self) -> dict[str, Any]:
        """The fields as JSON values, for who reads them elsewhere."""
        values = {name: getattr(self, name) for name in FIELDS}
        said = {"id": str(self.id), "occurred_at": moment(self.occurred_at), "metadata": parsed(self.metadata)}
        return {**values, **said}


FIELDS = tuple(field.name for field in fields(Entry))


def entry_of(row: Mapping[Any, Any]) -> Entry:
    """What a row of the table says."""
    return Entry(**{name: row[name] for name in FIELDS})


def is_authentic(row: Mapping[Any, Any], keys: Keys) -> bool | None:
    """Whether the row is as it was written; None when the key is not there that could tell."""
    return keys.verify(ENTRY, entry_of(row).digest(), row["key_id"], row["mac"])


def entry_for(event: Event, id: uuid.UUID, now: datetime, keys: Keys) -> Entry:
    """The row of an event, of whatever plugin; nothing in it can keep the row from being made."""
    given = {name: getattr(event, name, None) for name in ("occurred_at", "name", "outcome", "metadata")}
    metadata = {} if given["metadata"] is None else given["metadata"]
    pseudonym = keys.pseudonym
    return Entry(
        id=id,
        occurred_at=_time(given["occurred_at"], now),
        name=plain(given["name"], NAME_LENGTH) or type(event).__name__[:NAME_LENGTH],
        outcome=plain(given["outcome"], 16) or "success",
        actor_id=identifier(getattr(event, "actor_id", None)),
        subject_id=identifier(getattr(event, "user_id", None)),
        session_id=identifier(getattr(event, "session_id", None)),
        client=plain(getattr(event, "client", None), ID_LENGTH),
        user_agent=plain(getattr(event, "user_agent", None), AGENT_LENGTH, pseudonym),
        reason=plain(_reason(metadata), REASON_LENGTH, pseudonym),
        request_id=plain(getattr(event, "request_id", None), NAME_LENGTH),
        metadata=metadata_text(metadata, pseudonym),
    )


class Ids:
    """Keys of rows: they sort by time, and within one process by the order in which they were made."""

    def __init__(self, clock: Callable[[], datetime], random: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random = random
        self._counter = count()

    def new(self) -> uuid.UUID:
        """A UUID of version 7: time, a finer fraction, a counter, 46 random bits (RFC 9562, sections 5.7 and 6.2)."""
        microseconds = int(self._clock().timestamp() * 1_000_000)
        fraction = microseconds % 1000 * 4096 // 1000
        value = microseconds // 1000 << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62
        value |= next(self._counter) % 2**16 << 46 | int.from_bytes(self._random(6), "big") % 2**46
        return uuid.UUID(int=value)


def first_id(at: datetime) -> uuid.UUID:
    """The smallest id of that time."""
    return uuid.UUID(int=max(0, int(at.timestamp() * 1000)) << 80)


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`, to the microsecond, so that texts sort."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parsed(metadata: str) -> Any:
    """The metadata as JSON values; the text itself where somebody has made it into something else."""
    try:
        return json.loads(metadata)
    except (ValueError, RecursionError):
        return metadata


def _canonical(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    return None if value is None else str(value)


def _time(value: object, now: datetime) -> datetime:
    return value if isinstance(value, datetime) and value.utcoffset() is not None else now


def _reason(metadata: object) -> object:
    return metadata.get("reason") if isinstance(metadata, dict) else None

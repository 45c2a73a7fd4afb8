"""What a key is asked for with, and how its user sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints
from typing_extensions import TypedDict

from sigra.answers import Identifier, Timestamp
from sigra.models import timestamp

PREFIX = "sigra_sk_"

Scope = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.:-]{1,64}$")]


def _no_controls(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be printable text")
    return text.strip()


def _in_utc(at: datetime) -> datetime:
    """The time as it is stored; one at the edge of the calendar is none there."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time of the years 1 to 9999 in UTC") from None


class NewKey(BaseModel):
    """The body of a new key.

    Args:
        expires_at: With a time zone; None for a key without expiry.
    """

    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_no_controls)]
    scopes: Annotated[list[Scope], Field(max_length=64)] = Field(default_factory=list)
    expires_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = None


class PublicKey(TypedDict):
    """A key, as its user may see it: never the secret."""

    id: Identifier
    name: str
    scopes: list[str]
    prefix: str
    last_four: str
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None


class CreatedKey(PublicKey):
    """A new key; its text is in this answer and nowhere else."""

    key: str


class AllKeys(TypedDict):
    """A user's keys, newest first."""

    api_keys: list[PublicKey]


def public(row: Mapping[str, Any]) -> PublicKey:
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "scopes": json.loads(row["scopes"]),
        "prefix": PREFIX,
        "last_four": row["last_four"],
        "created_at": timestamp(row["created_at"]),
        "expires_at": None if row["expires_at"] is None else timestamp(row["expires_at"]),
        "last_used_at": None if row["last_used_at"] is None else timestamp(row["last_used_at"]),
    }

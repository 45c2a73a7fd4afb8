"""What an account says of its user, and what of it the user may change."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, Field

from sigra.answers import PublicUser
from sigra.events import Action, Event
from sigra.models import User, timestamp

_JOINERS = frozenset("\u200c\u200d")
"""Invisible, and letters of some scripts are wrong without them (Unicode Standard, section 23.2)."""

_TAG = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"  # language
    r"(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?"  # script, region
    r"(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*"  # variants, extensions
    r"(?:-x(?:-[a-z0-9]{1,8})+)?",  # private use
    re.ASCII | re.IGNORECASE,
)
"""A language tag that is well formed (RFC 5646, section 2.1); whether somebody speaks it is not asked."""


def _name(text: str | None) -> str | None:
    """A name in one form; None for one that is only space."""
    text = unicodedata.normalize("NFC", text or "").strip()
    if not all(character.isprintable() or character in _JOINERS for character in text):
        raise ValueError("must be printable text")
    return text or None


Name = Annotated[str | None, Field(max_length=200), AfterValidator(_name)]
"""What a user is called."""


def _locale(text: str | None) -> str | None:
    """A language tag in the usual letters (RFC 5646, section 2.1.1); None for an empty one."""
    if not text:
        return None
    if not _TAG.fullmatch(text):
        raise ValueError("must be a language tag, as in de or pt-BR")
    language, *subtags = text.lower().split("-")
    single = next((place for place, subtag in enumerate(subtags) if len(subtag) == 1), len(subtags))
    return "-".join([language, *map(_cased, subtags[:single]), *subtags[single:]])


def _cased(subtag: str) -> str:
    if len(subtag) == len("DE"):
        return subtag.upper()
    return subtag.title() if len(subtag) == len("Latn") and subtag.isalpha() else subtag


class Profile(BaseModel):
    """The body of a change: what is not named stays. A tag has at most 35 characters (RFC 5646, section 4.4.1)."""

    name: Name = None
    locale: Annotated[str | None, Field(max_length=35), AfterValidator(_locale)] = None


class PublicProfile(PublicUser):
    """An account, as its user may see it and change it."""

    locale: str | None


@dataclass(frozen=True, kw_only=True)
class ChangeProfile(Action):
    """A user changes what the account says of its user."""

    name: ClassVar[str] = "change_profile"


@dataclass(frozen=True, kw_only=True)
class ProfileChanged(Event):
    """A profile was changed; `metadata` has the names of the `fields`, not what they say."""

    name: ClassVar[str] = "account.profile_changed"


def profile(user: User) -> PublicProfile:
    """What the user sees of it."""
    return {**user.public(), "locale": user.locale}


def record(user: User) -> dict[str, Any]:
    """All that the account's row says of the user, the host's columns too, as JSON values."""
    return {
        **profile(user),
        "status": user.status,
        "columns": {name: _plain(user.columns[name]) for name in user.columns},
    }


def _plain(value: Any) -> Any:
    """A value of a host's column, as JSON can say it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return timestamp(value) if value.utcoffset() is not None else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple | set | frozenset) else str(value)

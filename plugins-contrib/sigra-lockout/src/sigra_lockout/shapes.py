"""What the plugin takes, and what it tells of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sigra import Event
from sigra_lockout.counting import LONGEST


class MailedToken(BaseModel):
    """The body that ends a lock."""

    token: Annotated[str, Field(max_length=512, repr=False)]


class Options(BaseModel):
    """When an account is locked, and for how long.

    Args:
        failures: The wrong proof in a row that locks it; at most 100 (NIST SP 800-63B-4, section 3.2.2).
        first: Seconds of the first lock; each further one in a row is twice as long.
        longest: Seconds that no lock is longer than; at most a day.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    failures: Annotated[int, Field(ge=1, le=100)] = 5
    first: Annotated[timedelta, Field(ge=timedelta(minutes=1))] = timedelta(minutes=15)
    longest: Annotated[timedelta, Field(le=LONGEST)] = LONGEST

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.longest:
            raise ValueError("first is longer than longest: make it shorter")
        return self


@dataclass(frozen=True, kw_only=True)
class AccountLocked(Event):
    """After too many wrong proofs an account is locked; `metadata` has the canonical `email`, if any, and `until`.

    Told of every address alike, whether or not it has an account.
    """

    name: ClassVar[str] = "lockout.locked"


@dataclass(frozen=True, kw_only=True)
class AccountUnlocked(Event):
    """A lock was ended before its time; `metadata` has `by`: `link` or `administrator`."""

    name: ClassVar[str] = "lockout.unlocked"

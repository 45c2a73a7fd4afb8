"""What the change of an address is asked by, answers, stops at and tells, and the tokens that it mails."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from sigra.addresses import MAXIMUM_LENGTH
from sigra.events import Action, Event
from sigra.messages import Mint

CONFIRM, CANCEL = "email_change_confirm", "email_change_cancel"
"""Purposes of tokens, and the names of the routes whose pages take them."""


class NewAddress(BaseModel):
    """The body of a request for a change."""

    new_email: Annotated[str, Field(max_length=MAXIMUM_LENGTH)]


class MailedToken(BaseModel):
    """The body of a confirmation, and of a cancellation."""

    token: Annotated[str, Field(max_length=512, repr=False)]


class Requested(TypedDict):
    """The new address is written to; the same whether or not it has an account."""

    status: Literal["confirmation_sent"]


@dataclass(frozen=True, kw_only=True)
class ChangeEmail(Action):
    """A user changes the account's address: asked when it is requested, and again when it is confirmed."""

    name: ClassVar[str] = "change_email"


@dataclass(frozen=True, kw_only=True)
class EmailChangeRequested(Event):
    """A change of address waits for its confirmation; `metadata` has the `change`."""

    name: ClassVar[str] = "email_change.requested"


@dataclass(frozen=True, kw_only=True)
class EmailChangeCancelled(Event):
    """A change of address was ended before it was confirmed; `metadata` has the `change`."""

    name: ClassVar[str] = "email_change.cancelled"


@dataclass(frozen=True, kw_only=True)
class EmailChanged(Event):
    """An account has another address, which is proven; `metadata` has the `change`."""

    name: ClassVar[str] = "email_change.confirmed"


def mint(purpose: str, change: uuid.UUID, lifetime: timedelta) -> Mint:
    """Bound to its change: the mail of an older one, sent late, neither ends nor becomes the newer one's."""
    return Mint(purpose, page=purpose, lifetime=lifetime, payload={"change": str(change)}, subject=str(change))


def hours(lifetime: timedelta) -> dict[str, int]:
    """What a mail says about how long its link lives."""
    return {"hours": int(lifetime / timedelta(hours=1))}

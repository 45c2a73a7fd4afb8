"""What the policy is set by, takes, refuses with and tells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sigra.errors import Conflict
from sigra.events import Action, Event

Demand = Literal["required", "always"]
"""That there is a second factor; with `always`, that no browser is spared it either."""


class Options(BaseModel):
    """Who must have a second factor, and how long things wait.

    Args:
        demand: `optional`, `required` of everybody, or `always`: required, and no browser is spared it.
        grace: How long people may sign in without, from the first sign-in at which it was demanded of them.
        removal_wait: How long after an administrator's word the factors of somebody who lost them are removed; at
            least an hour, at most 30 days. Until then the owner can stop it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    demand: Literal["optional", "required", "always"] = "optional"
    grace: timedelta = Field(default=timedelta(0), ge=timedelta(0))
    removal_wait: timedelta = Field(default=timedelta(hours=24), ge=timedelta(hours=1), le=timedelta(days=30))


class MailedToken(BaseModel):
    """The body that stops a removal."""

    token: Annotated[str, Field(max_length=512, repr=False)]


class SecondFactorRequired(Conflict):
    """Raised for taking away the last second factor of somebody who must have one.

    Cure: Add another one first.
    """

    code, title = "second_factor_required", "Second factor required"
    detail = "This account must have a second factor. Add another one before you remove this one."


@dataclass(frozen=True, kw_only=True)
class RemoveFactors(Action):
    """All second factors of a user who has lost them are removed, by an administrator's word."""

    name: ClassVar[str] = "remove_factors"


@dataclass(frozen=True, kw_only=True)
class SecondFactorDemanded(Event):
    """An administrator chose a user who must have a second factor, or lifted that; `metadata` has the `demand`."""

    name: ClassVar[str] = "second_factor.demanded"


@dataclass(frozen=True, kw_only=True)
class FactorRemovalRequested(Event):
    """The removal of a user's factors waits; `metadata` says until when (`remove_at`)."""

    name: ClassVar[str] = "second_factor.removal_requested"


@dataclass(frozen=True, kw_only=True)
class FactorRemovalCancelled(Event):
    """A removal was stopped; `metadata` says `by` what: `link`, `factor` (proven or added), `session`, `refusal`."""

    name: ClassVar[str] = "second_factor.removal_cancelled"


@dataclass(frozen=True, kw_only=True)
class FactorsRemoved(Event):
    """A user has no second factor any more, and no session; `metadata` has the `methods` that it had."""

    name: ClassVar[str] = "second_factor.removed"

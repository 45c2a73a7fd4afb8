"""What an attack can end with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["held", "broken", "not tested"]


class Broken(Exception):
    """Raised by an attack that succeeded; its text is the evidence, without secrets."""


class NotTested(Exception):
    """Raised by an attack that cannot be made here; its text says why."""


@dataclass(frozen=True)
class Result:
    """How an attack went.

    Args:
        name: Of the attack.
        claim: What it tried to disprove.
        evidence: What was seen, or why nothing was; without secrets.
        cure: Where to look when it is broken.
        seconds: How long it took.
    """

    name: str
    verdict: Verdict
    claim: str
    evidence: str
    cure: str
    seconds: float

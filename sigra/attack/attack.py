"""What an attack is: a function that tries to disprove a claim, and says what it saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sigra.attack.target import Target

Run = Callable[[Target], Awaitable[str]]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Args:
        claim: What holds when the attack fails, in one sentence.
        cure: What to look at when it does not, with the page.
        run: Returns what was seen; raises `Broken` or `NotTested`.
        beside: Mostly waits, and may do so beside the others.
    """

    name: str
    claim: str
    cure: str
    run: Run
    beside: bool = False


def attack(claim: str, cure: str, *, beside: bool = False) -> Callable[[Run], Attack]:
    """Make an attack of a function; its name is the function's."""

    def made(run: Run) -> Attack:
        return Attack(run.__name__.replace("_", "-"), claim, cure, run, beside)

    return made

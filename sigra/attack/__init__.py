"""Black-box attacks on a deployment of one's own: a client that knows Sigra by its contract and imports none of it."""

from sigra.attack.attack import Attack, attack
from sigra.attack.outcome import Broken, NotTested, Result
from sigra.attack.registry import ATTACKS
from sigra.attack.runner import run
from sigra.attack.target import Target, Unreachable

__all__ = ["ATTACKS", "Attack", "Broken", "NotTested", "Result", "Target", "Unreachable", "attack", "run"]

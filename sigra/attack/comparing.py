"""Comparing answers and times as somebody does who wants to learn from them."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence

import httpx2

from sigra.attack.visitor import set_cookies

_SECRET = re.compile(r"[A-Za-z0-9_-]{20,}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_OF_THE_ANSWER = frozenset({"date", "set-cookie", "x-request-id", "content-length", "retry-after", "server"})
"""Headers that differ between two answers of one kind; cookies are compared by what is not secret in them."""


def seen(answer: httpx2.Response) -> dict[str, object]:
    """What an answer tells, less what is new in each: secrets by their lengths alone."""
    told: dict[str, object] = {"status": answer.status_code, "body": _masked(answer.text)}
    told |= {name: value for name, value in answer.headers.items() if name not in _OF_THE_ANSWER}
    told["cookies"] = [(one.name, len(one.value), sorted(one.attributes)) for one in set_cookies(answer)]
    return told


def _masked(text: str) -> str:
    text = _TIME.sub("(time)", text)
    return _SECRET.sub(lambda found: f"({len(found[0])} characters)", text)


def difference(one: httpx2.Response, other: httpx2.Response) -> str | None:
    """In which parts two answers differ; None when they tell the same."""
    first, second = seen(one), seen(other)
    parts = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    if not parts:
        return None
    if "status" in parts:
        return f"status {one.status_code} and {other.status_code}"
    return ", ".join(parts)


# Times

ALARM = 3.3
"""Standard deviations at which the times of pairs count as different: by chance once in 1,000 runs, and a run that
says so is made once more."""

SMALLEST = 1.0
"""Milliseconds; less is not told over a network."""

SHIFTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Milliseconds by which the positive control is late."""


def score(differences: Sequence[float]) -> float:
    """How surely pairs differ, in standard deviations (Wilcoxon, "Individual comparisons by ranking methods", 1945)."""
    ranked = sorted((one for one in differences if one), key=abs)
    n = len(ranked)
    if n == 0:
        return 0.0
    positive = sum(rank for rank, one in enumerate(ranked, 1) if one > 0)
    return (positive - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)


def differs(differences: Sequence[float]) -> bool:
    """Whether the pairs' times differ, surely and by enough to be told."""
    return abs(score(differences)) > ALARM and abs(statistics.median(differences)) >= SMALLEST


def resolution(differences: Sequence[float]) -> float | None:
    """The smallest delay of one half that would have been seen in this noise; None when none would."""
    middle = statistics.median(differences)
    centred = [one - middle for one in differences]
    return next((shift for shift in SHIFTS if differs([one + shift for one in centred])), None)

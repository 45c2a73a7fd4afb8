"""The table: medians of pairs that were measured one after the other, with their ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Row:
    """One line.

    Args:
        costs: Seconds a request, a turn each.
        ratios: By what it is compared with.
    """

    name: str
    costs: Sequence[float]
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __str__(self) -> str:
        beside = "   ".join(f"{spread(values, 3)} x {name}" for name, values in self.ratios.items())
        return f"{self.name:34} {spread([cost * 1e6 for cost in self.costs], 1):>24} µs   {beside}"


def pairs(
    turns: Sequence[Mapping[str, float]], name: str, beside: Sequence[str]
) -> tuple[list[float], dict[str, list[float]]]:
    """The costs of one, and its ratio to others in the same turn."""
    ratios = {other: [turn[name] / turn[other] for turn in turns] for other in beside if other != name}
    return [turn[name] for turn in turns], ratios


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and most."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"

"""Who must have a second factor, and how those who have lost theirs come back."""

from sigra.plugins.second_factor.plugin import SecondFactor
from sigra.plugins.second_factor.shapes import (
    Demand,
    FactorRemovalCancelled,
    FactorRemovalRequested,
    FactorsRemoved,
    RemoveFactors,
    SecondFactorDemanded,
    SecondFactorRequired,
)

__all__ = [
    "Demand",
    "FactorRemovalCancelled",
    "FactorRemovalRequested",
    "FactorsRemoved",
    "RemoveFactors",
    "SecondFactor",
    "SecondFactorDemanded",
    "SecondFactorRequired",
]

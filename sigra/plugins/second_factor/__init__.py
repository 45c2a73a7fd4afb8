"""Who must have a second factor."""

from sigra.plugins.second_factor.plugin import SecondFactor

__all__ = ["SecondFactor"]

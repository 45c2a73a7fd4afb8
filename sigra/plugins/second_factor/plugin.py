"""The plugin."""

from __future__ import annotations


class SecondFactor:
    """Demands a second factor of whom the policy says."""

    name = "second_factor"
    api = 1

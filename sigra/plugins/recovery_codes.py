"""Recovery codes."""

from __future__ import annotations


class RecoveryCodes:
    """Codes for the day on which every factor is lost."""

    name = "recovery_codes"
    api = 1

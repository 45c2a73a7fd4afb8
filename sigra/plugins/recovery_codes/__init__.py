"""Recovery codes: a list kept elsewhere, for the day on which every other factor is lost."""

from sigra.plugins.recovery_codes.plugin import RecoveryCodes

__all__ = ["RecoveryCodes"]

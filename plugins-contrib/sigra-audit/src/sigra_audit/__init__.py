"""A record of everything that happens to accounts, in which no row can be changed without being seen."""

from sigra_audit.plugin import Audit

__all__ = ["Audit"]

"""Rate limits: on actions and subjects, counted before anything is done, in one atomic step."""

from sigra.limits.counting import Limits
from sigra.limits.database import DatabaseStore
from sigra.limits.rules import CORE_LIMITS, Rule, rules
from sigra.limits.stores import Store, open_store

__all__ = ["CORE_LIMITS", "DatabaseStore", "Limits", "Rule", "Store", "open_store", "rules"]

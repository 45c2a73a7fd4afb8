"""Asking plugins: which are there, whether they fit together, and the loop that calls them.

Knows no plugin, as no plugin knows this room.
"""

from sigra.hooks.calls import Calls
from sigra.hooks.conflicts import (
    CORE,
    check_declarations,
    claim_jobs,
    claim_routes,
    claim_tables,
    claim_templates,
    declared,
    in_order_of_need,
)
from sigra.hooks.discovery import Active, Installed, activate, installed, section_model, select

__all__ = [
    "CORE",
    "Active",
    "Calls",
    "Installed",
    "activate",
    "check_declarations",
    "claim_jobs",
    "claim_routes",
    "claim_tables",
    "claim_templates",
    "declared",
    "in_order_of_need",
    "installed",
    "section_model",
    "select",
]

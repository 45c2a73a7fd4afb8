"""Which migrations an application runs: the core's, then those of the distributions of its active plugins."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from sigra.db.migrations import CORE, Lineage
from sigra.hooks.conflicts import in_order_of_need
from sigra.hooks.discovery import Active, Installed, installed


def lineages(plugins: Sequence[Active]) -> list[Lineage]:
    """The lineages in the order in which they run: one a distribution, after those that its plugins require.

    A distribution has one when a package `migrations` lies beside the module that its entry point names. A plugin that
    no distribution announces has none: whoever wrote it into the application migrates its tables with the host's.
    """
    available = installed()
    found = (_lineage(one) for active in in_order_of_need(plugins) for one in _announced(active, available))
    return list(dict.fromkeys([CORE, *(lineage for lineage in found if lineage is not None)]))


def _announced(active: Active, available: Sequence[Installed]) -> list[Installed]:
    """What announces a plugin, also one that is given as an object."""
    of = (active.distribution,) if active.distribution else {one.distribution for one in available}
    named = [one for one in available if one.name == active.name and one.distribution in of]
    return [one for one in named if one.load() is type(active.plugin)]


def _lineage(announced: Installed) -> Lineage | None:
    if announced.distribution == CORE.distribution:
        return None
    home = import_module(announced.entry_point.module).__package__
    package = f"{home}.migrations"
    return Lineage(announced.distribution, package) if home and find_spec(package) is not None else None

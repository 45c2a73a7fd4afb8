"""Whether what is installed is what is used: drivers, and plugins that nobody has switched on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sigra.cli.doctor.finding import Finding
from sigra.db.urls import OPTION, dialect_for
from sigra.errors import ConfigurationError
from sigra.hooks import Installed
from sigra.hooks.discovery import OFF


def of_driver(database_url: Any) -> Iterator[Finding]:
    """What keeps this database from being used, whatever else is wrong with the settings."""
    try:
        if isinstance(database_url, str):
            dialect_for(database_url)
    except ConfigurationError as error:
        yield Finding(OPTION, str(error), "Do what it says.")


def of_plugins(installed: Sequence[Installed], active: Collection[str], wanted: Sequence[str]) -> Iterator[Finding]:
    """The plugins that are installed and not active; one that is switched off by name was decided upon."""
    off = {item.removeprefix(OFF) for item in wanted if item.startswith(OFF)}
    for one in installed:
        if one.name not in {*active, *off}:
            yield Finding(
                one.name,
                f"The plugin {one.name} of {one.distribution} is installed, but not active.",
                f"Add {one.name} to SIGRA_PLUGINS (or to `plugins` in code), "
                f"or {OFF}{one.name} to SIGRA_PLUGINS to say that it is meant, "
                f"or uninstall {one.distribution}.",
            )

"""Whose plugins this tree holds, documents and tests: the core's own, and those that are installed on their own."""

from __future__ import annotations

from pathlib import Path

from sigra import hooks
from sigra.hooks import Installed

CONTRIB = Path(__file__).resolve().parent.parent / "plugins-contrib"
ON_THEIR_OWN = tuple(sorted(path.parent.name for path in CONTRIB.glob("*/pyproject.toml")))
"""The distributions beside the core's."""


def ours() -> list[Installed]:
    """The plugins of this tree, the built-in ones first."""
    return [one for one in hooks.installed() if one.distribution in ("sigra", *ON_THEIR_OWN)]


def on_their_own() -> list[str]:
    """The names of the plugins that are no built-in ones."""
    return [one.name for one in ours() if one.distribution != "sigra"]


def everything() -> list[str]:
    """What to switch on to have all of them, and no stranger's."""
    return ["defaults", *on_their_own()]


def package(distribution: str) -> str:
    """The package of a distribution: `sigra_badge` of `sigra-badge`."""
    return distribution.replace("-", "_")


def owner(cls: type[object]) -> str:
    """The plugin that brings a class, empty for the core: a plugin's module, folder or package bears its name."""
    room, _, rest = cls.__module__.partition(".")
    if room != "sigra":
        return room.removeprefix("sigra_")
    return rest.removeprefix("plugins.").partition(".")[0] if rest.startswith("plugins.") else ""


def is_ours(cls: type[object]) -> bool:
    """Whether a class is of this tree's distributions."""
    return cls.__module__.partition(".")[0] in ("sigra", *map(package, ON_THEIR_OWN))

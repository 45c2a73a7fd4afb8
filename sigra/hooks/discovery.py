"""From names in the settings to plugin objects: what is installed, what is switched on, with which section."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from sigra.errors import ConfigurationError, SigraError
from sigra.protocols import Plugin

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")

GROUP = "sigra.plugins"
CORE = "sigra"
DEFAULTS, EVERYTHING, OFF = "defaults", "*", "-"


@dataclass(frozen=True)
class Installed:
    """A plugin that a distribution announces; its module is not imported yet."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def load(self) -> type[Any]:
        """The plugin's class.

        Raises:
            ConfigurationError: It cannot be imported, or is not what the entry point says.
        """
        try:
            cls: type[Any] = self.entry_point.load()
        except SigraError:
            raise
        except Exception as error:  # a stranger's module may fail in any way; the operator is told which
            raise ConfigurationError(
                f"Plugin {self.name} of {self.distribution} cannot be imported ({type(error).__name__}: {error}): "
                f"mend or uninstall {self.distribution}, or switch it off with -{self.name} in SIGRA_PLUGINS."
            ) from error
        if getattr(cls, "name", None) != self.name:
            raise ConfigurationError(
                f"{self.distribution} announces the plugin {self.name}, but its class is named "
                f"{getattr(cls, 'name', None)!r}: its entry point and its `name` must agree."
            )
        return cls


@dataclass(frozen=True)
class Active:
    """A plugin that is switched on: the object, and the distribution that brings it (None when given in code)."""

    name: str
    plugin: Any
    distribution: str | None

    @property
    def where(self) -> str:
        """The plugin as an error message names it."""
        return f"{self.name} (of {self.distribution or type(self.plugin).__module__})"


def installed() -> tuple[Installed, ...]:
    """Every plugin announced on this machine, the core's own first, then by distribution and name."""
    return _announced(tuple(information for folder in sys.path for information in _informations(folder)))


def _informations(folder: str) -> list[str]:
    """The distributions in a folder of the path, each by where it says what it is."""
    try:
        return sorted(
            entry.path for entry in os.scandir(folder or ".") if entry.name.endswith((".dist-info", ".egg-info"))
        )
    except OSError:
        return []  # an archive, or not there


@lru_cache(maxsize=4)
def _announced(present: tuple[str, ...]) -> tuple[Installed, ...]:
    # Remembered for as long as the same are there, since the announcements of each are a file to read.
    found, read = [], dict[Distribution, tuple[str, str]]()
    for point in entry_points(group=GROUP):
        if point.dist is not None:
            # Each look at a distribution's name parses the whole of its metadata.
            metadata = read.get(point.dist) or (point.dist.metadata["Name"], point.dist.version)
            read[point.dist] = metadata
            found.append(Installed(point.name, *metadata, point))
    return tuple(sorted(found, key=lambda item: (item.distribution != CORE, item.distribution, item.name)))


def select(wanted: Sequence[str | Plugin], available: Iterable[Installed]) -> list[Installed | Plugin]:
    """What `wanted` switches on, in order. An object stands for its name, wherever the name was switched on.

    `-name` switches the installed plugin off wherever it stands, also to make room for an object of that name.

    Raises:
        ConfigurationError: A name that nothing installed has, that two have, or that is no name.
    """
    by_name = _by_name(available)
    off = {_known(item.removeprefix(OFF), by_name) for item in wanted if isinstance(item, str) and item.startswith(OFF)}
    chosen: dict[str, Installed | Plugin] = {}
    for item in wanted:
        if not isinstance(item, str):
            _add(chosen, _object_name(item), item)
        elif not item.startswith(OFF):
            for name in _expand(item, by_name):
                if name not in off:
                    _add(chosen, name, _one(by_name[name]))
    return list(chosen.values())


def _by_name(available: Iterable[Installed]) -> dict[str, list[Installed]]:
    by_name: dict[str, list[Installed]] = {}
    for item in available:
        by_name.setdefault(item.name, []).append(item)
    return by_name


def _expand(item: str, by_name: Mapping[str, list[Installed]]) -> list[str]:
    if item == EVERYTHING:
        return list(by_name)
    if item == DEFAULTS:
        return [name for name, several in by_name.items() if any(one.distribution == CORE for one in several)]
    return [_known(item, by_name)]


def _known(name: str, by_name: Mapping[str, Any]) -> str:
    if name in by_name:
        return name
    nearest = difflib.get_close_matches(name, by_name, n=1)
    cure = f"did you mean {nearest[0]}?" if nearest else "install the distribution that brings it, or remove the name."
    raise ConfigurationError(f"SIGRA_PLUGINS names {name!r}, which is not installed: {cure}")


def _one(several: Sequence[Installed]) -> Installed:
    if len(several) > 1:
        both = " and ".join(one.distribution for one in several)
        raise ConfigurationError(f"Two plugins are named {several[0].name}, of {both}: uninstall one of them.")
    return several[0]


def _object_name(plugin: Plugin) -> str:
    if isinstance(plugin, type):
        raise ConfigurationError(f"{plugin.__name__} in `plugins` is a class: write {plugin.__name__}().")
    name = getattr(plugin, "name", None)
    if not isinstance(name, str):
        raise ConfigurationError(f"{type(plugin).__name__} in `plugins` has no `name`: give the class one.")
    return name


def _add(chosen: dict[str, Installed | Plugin], name: str, item: Installed | Plugin) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"Plugin {name!r} ({_describe(item)}) has an unfit name: use a-z, 0-9 and _ alone.")
    before = chosen.setdefault(name, item)
    if before == item:
        return
    objects = [one for one in (before, item) if not isinstance(one, Installed)]
    if len(objects) != 1 or _class_of(before) is not _class_of(item):
        raise ConfigurationError(
            f"Two plugins are named {name}: {_describe(before)} and {_describe(item)}. "
            f"Switch one of them off, as in -{name}."
        )
    chosen[name] = objects[0]


def _class_of(item: Installed | Plugin) -> type[Any]:
    return item.load() if isinstance(item, Installed) else type(item)


def _describe(item: Installed | Plugin) -> str:
    if isinstance(item, Installed):
        return f"the one of {item.distribution}"
    return f"{type(item).__module__}.{type(item).__qualname__}"


def section_model(item: Installed | Plugin) -> type[BaseModel] | None:
    """The model of a plugin's section, None when it has no settings."""
    model = getattr(_class_of(item), "Settings", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def activate(item: Installed | Plugin, section: BaseModel | None) -> Active:
    """The plugin object, made with its section unless it was given in code.

    Raises:
        ConfigurationError: The class cannot be made from its section.
    """
    if not isinstance(item, Installed):
        return Active(item.name, item, None)
    cls = item.load()
    # One with a field `keys` would be taken for a mapping.
    values = {} if section is None or cls.__init__ is object.__init__ else dict(iter(section))
    try:
        plugin = cls(**values)
        if section is not None and not hasattr(plugin, "settings"):
            plugin.settings = section
    except SigraError:
        raise
    except Exception as error:  # a stranger's class may fail in any way; its values are not repeated
        raise ConfigurationError(
            f"Plugin {item.name} of {item.distribution} cannot be made from its settings ({type(error).__name__}): "
            "its __init__ must take them as keywords."
        ) from error
    return Active(item.name, plugin, item.distribution)

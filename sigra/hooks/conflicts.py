"""What two plugins may not both bring, checked at start; every conflict names both and the cure (hard case 48)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from sigra import errors, events
from sigra.errors import ConfigurationError
from sigra.hooks.discovery import Active

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_CORE = "the core"


def check_declarations(plugins: Sequence[Active], core_options: Iterable[str], core_cookies: Iterable[str]) -> None:
    """Names, needs, sections, events, error codes, carriers and cookies.

    Args:
        core_options: The names of the core's own settings.
        core_cookies: The names of the core's own cookies.

    Raises:
        ConfigurationError: Names the plugins and the cure.
    """
    for active in plugins:
        if not _NAME.fullmatch(active.name):
            raise ConfigurationError(f"Plugin {active.where} has an unfit name: use lower case letters, digits and _.")
    _check_needs(plugins)
    _unique("settings section", plugins, _sections, dict.fromkeys(core_options, _CORE))
    _unique("event", plugins, lambda plugin: _names_of(plugin, "events", "name"), _own(events, events.Event, "name"))
    _unique(
        "error code",
        plugins,
        lambda plugin: _names_of(plugin, "errors", "code"),
        _own(errors, errors.SigraError, "code"),
    )
    _unique("carrier", plugins, lambda plugin: getattr(plugin, "carriers", ()), {})
    _unique("cookie", plugins, lambda plugin: getattr(plugin, "cookies", ()), dict.fromkeys(core_cookies, _CORE))


def _check_needs(plugins: Sequence[Active]) -> None:
    names = {active.name for active in plugins}
    for active in plugins:
        for needed in getattr(active.plugin, "requires", ()):
            if needed not in names:
                raise ConfigurationError(
                    f"Plugin {active.where} requires {needed}, which is not active: "
                    f"add {needed} to SIGRA_PLUGINS or switch {active.name} off."
                )


def _sections(plugin: Any) -> Iterable[str]:
    return (plugin.name,) if hasattr(plugin, "Settings") else ()


def _names_of(plugin: Any, attribute: str, name: str) -> Iterable[str]:
    return [getattr(cls, name) for cls in getattr(plugin, attribute, ())]


def _own(module: Any, root: type[Any], name: str) -> dict[str, str]:
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, root)]
    names = [getattr(cls, name, None) for cls in classes]
    return {text: _CORE for text in names if isinstance(text, str)}


def _unique(
    what: str, plugins: Sequence[Active], brings: Callable[[Any], Iterable[str]], taken: dict[str, str]
) -> None:
    for active in plugins:
        for text in brings(active.plugin):
            if text in taken:
                raise ConfigurationError(
                    f"Two bring the {what} {text}: {taken[text]} and plugin {active.where}. "
                    f"Switch one off in SIGRA_PLUGINS, as in -{active.name}."
                )
            taken[text] = f"plugin {active.where}"


def in_order_of_need(plugins: Sequence[Active]) -> list[Active]:
    """The plugins, each after those that it requires.

    Raises:
        ConfigurationError: Two require each other, in a circle.
    """
    by_name = {active.name: active for active in plugins}
    ordered: dict[str, Active] = {}

    def place(active: Active, below: tuple[str, ...]) -> None:
        if active.name in below:
            circle = " → ".join((*below[below.index(active.name) :], active.name))
            raise ConfigurationError(f"Plugins require each other in a circle: {circle}. Switch one of them off.")
        for needed in getattr(active.plugin, "requires", ()):
            place(by_name[needed], (*below, active.name))
        ordered.setdefault(active.name, active)

    for active in plugins:
        place(active, ())
    return list(ordered.values())


def check_tables(tables: Sequence[tuple[str, Sequence[Table]]], core: Iterable[str]) -> None:
    """Every plugin's tables are its own and named after it.

    Raises:
        ConfigurationError: Names the plugins and the cure.
    """
    taken = dict.fromkeys(core, _CORE)
    for plugin, its in tables:
        for table in its:
            prefix = f"sigra_{plugin}"
            if not table.name.startswith(prefix):
                raise ConfigurationError(f"Plugin {plugin} brings the table {table.name}: name it {prefix}….")
            if table.name in taken:
                raise ConfigurationError(
                    f"Two bring the table {table.name}: {taken[table.name]} and plugin {plugin}. Switch one of them off."
                )
            taken[table.name] = f"plugin {plugin}"


def check_routes(routes: Mapping[str, Sequence[BaseRoute]], overlap: Callable[[BaseRoute, BaseRoute], bool]) -> None:
    """No request can be answered by two plugins, so that their order decides nothing.

    Raises:
        ConfigurationError: Names the plugins, the path and the cure.
    """
    placed: list[tuple[str, BaseRoute]] = []
    for plugin, its in routes.items():
        for route in its:
            for other, before in placed:
                if overlap(before, route):
                    raise ConfigurationError(
                        f"Two answer {_path(route)}: plugin {other} and plugin {plugin}. "
                        f"Switch one off in SIGRA_PLUGINS, as in -{plugin}."
                    )
            placed.append((plugin, route))


def _path(route: BaseRoute) -> str:
    if isinstance(route, Route):
        return f"{'/'.join(sorted(route.methods or ()))} {route.path}"
    return route.path if isinstance(route, Mount | WebSocketRoute) else repr(route)

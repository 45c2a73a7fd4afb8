"""What two plugins may not both bring, checked at start; every conflict names both and the cure (hard case 48)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import MetaData, Table
from sqlalchemy.exc import InvalidRequestError
from starlette.routing import BaseRoute, Route, WebSocketRoute

from sigra import errors, events
from sigra.db.rotation import check_sealed
from sigra.errors import ConfigurationError, SigraError
from sigra.hooks.discovery import Active
from sigra.models import Job

T = TypeVar("T")

CORE = "the core"
"""Who brings what no plugin does."""

JOB_NAME_LENGTH = 64


def check_declarations(plugins: Sequence[Active], core_cookies: Iterable[str]) -> None:
    """What plugins say of themselves: needs, events, error codes, carriers and cookies.

    Args:
        plugins: All that are active.
        core_cookies: The names of the core's own cookies.

    Raises:
        ConfigurationError: Names the plugins and the cure.
    """
    _check_needs(plugins)
    _unique("event", plugins, lambda active: _names(active, "events", "name"), _own(events, events.Event, "name"))
    _unique("error code", plugins, lambda active: _names(active, "errors", "code"), _own(errors, SigraError, "code"))
    _unique("carrier", plugins, lambda active: declared(active, "carriers"), {})
    _unique("cookie", plugins, lambda active: declared(active, "cookies"), dict.fromkeys(core_cookies, CORE))


def declared(active: Active, attribute: str) -> tuple[Any, ...]:
    """What a plugin says of itself in one of its optional attributes; empty when it says nothing.

    Raises:
        ConfigurationError: It is no tuple, as `("a")` is none.
    """
    value = getattr(active.plugin, attribute, ())
    if not isinstance(value, tuple | list):
        raise ConfigurationError(f"Plugin {active.where} has a {attribute} that is no tuple: write it as (…,).")
    return tuple(value)


def _check_needs(plugins: Sequence[Active]) -> None:
    names = {active.name for active in plugins}
    for active in plugins:
        for needed in declared(active, "requires"):
            if needed not in names:
                raise ConfigurationError(
                    f"Plugin {active.where} requires {needed}, which is not active: "
                    f"add {needed} to SIGRA_PLUGINS or switch {active.name} off."
                )
    in_order_of_need(plugins)


def _names(active: Active, attribute: str, name: str) -> list[str]:
    names = []
    for cls in declared(active, attribute):
        text = getattr(cls, name, None)
        if not isinstance(text, str):
            raise ConfigurationError(f"Plugin {active.where} has {cls!r} in {attribute}: give it a `{name}`.")
        names.append(text)
    return names


def _own(module: Any, root: type[Any], name: str) -> dict[str, str]:
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, root)]
    names = [getattr(cls, name, None) for cls in classes]
    return {text: CORE for text in names if isinstance(text, str)}


def _unique(
    what: str, plugins: Sequence[Active], brings: Callable[[Active], Iterable[str]], taken: dict[str, str]
) -> None:
    for active in plugins:
        for text in brings(active):
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
        for needed in declared(active, "requires"):
            place(by_name[needed], (*below, active.name))
        ordered.setdefault(active.name, active)

    for active in plugins:
        place(active, ())
    return list(ordered.values())


def claim_tables(
    answers: Iterable[tuple[str, Sequence[Table]]], metadata: MetaData, core: Iterable[str]
) -> dict[str, tuple[Table, ...]]:
    """Every plugin's tables, which are its own and named after it.

    Args:
        answers: Asked for one by one, so that what each plugin made on `metadata` is known before the next is asked.
        metadata: Where the tables are made.
        core: The names of the core's own tables.

    Raises:
        ConfigurationError: Names the plugins and the cure.
    """
    taken = dict.fromkeys(core, CORE)
    claimed: dict[str, tuple[Table, ...]] = {}
    before = set(metadata.tables)
    try:
        for plugin, its in answers:
            claimed[plugin] = tuple(its)
            _check_tables(plugin, claimed[plugin], taken, set(metadata.tables) - before)
            before = set(metadata.tables)
    except ConfigurationError as error:
        raise _naming_owner(error, taken) from error
    return claimed


def _check_tables(plugin: str, its: Sequence[Table], taken: dict[str, str], made: set[str]) -> None:
    prefix = f"sigra_{plugin}"
    for table in its:
        if table.name in taken:
            raise ConfigurationError(
                f"Two bring the table {table.name}: {taken[table.name]} and plugin {plugin}. "
                f"Switch one off in SIGRA_PLUGINS, as in -{plugin}."
            )
        if not table.name.startswith(prefix) or table.name != table.name.lower():
            raise ConfigurationError(
                f"Plugin {plugin} brings the table {table.name}: name it {prefix}…, in lower case."
            )
        taken[table.name] = f"plugin {plugin}"
    check_sealed(its, f"Plugin {plugin}")
    if made != {table.key for table in its}:
        raise ConfigurationError(
            f"Plugin {plugin} returns other tables than it makes: make them on the given `metadata` and return all."
        )


def _naming_owner(error: ConfigurationError, taken: Mapping[str, str]) -> ConfigurationError:
    """A second table of one name is refused while it is made, by SQLAlchemy, which cannot say whose the first is."""
    if isinstance(error.__cause__, InvalidRequestError):
        for name, owner in taken.items():
            if f"{name!r}" in str(error.__cause__):
                return ConfigurationError(f"The table {name} is brought by {owner} already. {error.detail}")
    return error


def claim_routes(
    answers: Iterable[tuple[str, Sequence[BaseRoute]]], overlap: Callable[[BaseRoute, BaseRoute], bool]
) -> dict[str, tuple[BaseRoute, ...]]:
    """Every plugin's routes. No request can be answered by two plugins, so that their order decides nothing.

    Args:
        answers: The routes, with the plugins' names.
        overlap: Whether some request fits both of two routes.

    Raises:
        ConfigurationError: Names the plugins, the path and the cure.
    """
    claimed: dict[str, tuple[BaseRoute, ...]] = {}
    for plugin, its in answers:
        routes = tuple(its)
        for route in routes:
            if not isinstance(route, Route | WebSocketRoute):
                raise ConfigurationError(
                    f"Plugin {plugin} brings {route!r}, which is neither Route nor WebSocketRoute: list what is in it."
                )
            _check_route(plugin, route, claimed, overlap)
        claimed[plugin] = routes
    return claimed


def claim_templates(answers: Iterable[tuple[str, Sequence[T]]], names: Callable[[T], Iterable[str]]) -> tuple[T, ...]:
    """Every plugin's sources of templates. No two have one of the same name, so that their order decides nothing.

    Args:
        answers: The sources, with the plugins' names.
        names: What is in a source.

    Raises:
        ConfigurationError: Names the plugins, the template and the cure.
    """
    taken: dict[str, str] = {}
    claimed: list[T] = []
    for plugin, its in answers:
        claimed += its
        for name in dict.fromkeys(name for source in its for name in names(source)):
            if name in taken:
                raise ConfigurationError(
                    f"Two bring the template {name}: plugin {taken[name]} and plugin {plugin}. "
                    f"Switch one off in SIGRA_PLUGINS, as in -{plugin}."
                )
            taken[name] = plugin
    return tuple(claimed)


def claim_jobs(answers: Iterable[tuple[str, Sequence[Job]]]) -> list[Job]:
    """Every plugin's jobs, and the core's: the name says whose turn it is, so that no two have one.

    Raises:
        ConfigurationError: Names the plugins, the job and the cure.
    """
    claimed: dict[str, tuple[str, Job]] = {}
    for plugin, its in answers:
        for job in its:
            if job.name in claimed:
                raise ConfigurationError(
                    f"Two bring the job {job.name}: {claimed[job.name][0]} and plugin {plugin}. "
                    f"Switch one off in SIGRA_PLUGINS, as in -{plugin}."
                )
            if len(job.name) > JOB_NAME_LENGTH or job.every <= timedelta(0):
                raise ConfigurationError(
                    f"Plugin {plugin} brings the job {job.name}: give it a name of at most {JOB_NAME_LENGTH} "
                    "characters and an interval above zero."
                )
            claimed[job.name] = (plugin if plugin == CORE else f"plugin {plugin}", job)
    return [job for _, job in claimed.values()]


def _check_route(
    plugin: str,
    route: Route | WebSocketRoute,
    claimed: Mapping[str, Sequence[BaseRoute]],
    overlap: Callable[[BaseRoute, BaseRoute], bool],
) -> None:
    for other, its in claimed.items():
        if any(overlap(before, route) for before in its):
            raise ConfigurationError(
                f"Two answer {_address(route)}: plugin {other} and plugin {plugin}. "
                f"Switch one off in SIGRA_PLUGINS, as in -{plugin}."
            )


def _address(route: Route | WebSocketRoute) -> str:
    methods = (route.methods or ()) if isinstance(route, Route) else ("WebSocket",)
    return f"{'/'.join(sorted(methods))} {route.path}"

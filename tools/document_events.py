"""Writes the index of docs/events.md from the classes: what happens (events), and what can be stopped (actions)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import TypeVar

from sigra.events import Action, Event
from tools.distributions import is_ours, ours, owner
from tools.marked import DOCS, filled

PAGE = DOCS / "events.md"
T = TypeVar("T", Event, Action)


def rendered(page: str) -> str:
    """The page with today's events and actions."""
    page = filled(page, "events", table(brought(Event)))
    return filled(page, "actions", table(brought(Action)))


def brought(kind: type[T]) -> list[type[T]]:
    """The classes of the core and of the plugins, the core's first."""
    for plugin in ours():
        plugin.load()
    return sorted(filter(is_ours, below(kind)), key=lambda cls: (owner(cls), cls.name))


def below(kind: type[T]) -> Iterator[type[T]]:
    """Every subclass, at any depth."""
    for cls in kind.__subclasses__():
        yield cls
        yield from below(cls)


def table(classes: Iterable[type[T]]) -> str:
    """One row a class."""
    rows: list[str] = [
        f"| `{cls.name}` | `{cls.__name__}` | {f'`{owner(cls)}`' if owner(cls) else 'the core'} "
        f"| {' '.join((inspect.getdoc(cls) or '').split())} |"
        for cls in classes
    ]
    return "\n".join(["| name | class | brought by | meaning |", "|---|---|---|---|", *rows])

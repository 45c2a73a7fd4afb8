"""Writes the index of docs/errors.md from the classes: each code with its status, when it is raised, and the cure."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from sigra import errors
from sigra.errors import ConfigurationError, SigraError
from tools import distributions
from tools.marked import DOCS, filled

PAGE = DOCS / "errors.md"
NEVER_ANSWERED = (SigraError, ConfigurationError)


def rendered(page: str) -> str:
    """The page with today's codes."""
    return filled(page, "errors", "\n".join(sections()))


def answered() -> dict[str, list[type[SigraError]]]:
    """Every code that the core or a plugin answers, with its classes, by status and name."""
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, SigraError)]
    for plugin in distributions.ours():
        classes += getattr(plugin.load(), "errors", ())
    codes: dict[str, list[type[SigraError]]] = {}
    for cls in sorted(set(classes) - set(NEVER_ANSWERED), key=lambda cls: (cls.status, cls.code, cls.__name__)):
        codes.setdefault(cls.code, []).append(cls)
    return codes


def sections() -> Iterator[str]:
    """One text a code."""
    for code, classes in answered().items():
        yield f"### {code}\n"
        for cls in classes:
            yield f"**{cls.status} {cls.title}** (`{cls.__name__}`). {meaning(cls)}\n"


def meaning(cls: type[SigraError]) -> str:
    """The docstring's paragraphs but its arguments: when it is raised, and the cure.

    Raises:
        ValueError: The docstring does not say a cure.
    """
    text, _, _ = (inspect.getdoc(cls) or "").partition("\nArgs:")
    when, _, cure = text.partition("\nCure:")
    if not cure:
        raise ValueError(f"{cls.__name__} does not say what to do: add a paragraph `Cure: …` to its docstring")
    return f"{' '.join(when.split())} *What to do:* {' '.join(cure.split())}"

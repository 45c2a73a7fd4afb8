"""Pages from templates in which every value is escaped and a missing one is an error."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, pass_environment
from markupsafe import Markup
from starlette.responses import HTMLResponse

from sigra.errors import SigraError
from sigra.http.headers import mount_headers, script_hash
from sigra.http.readable import browser, moment
from sigra.models import Part

_log = logging.getLogger("sigra")

Source = str | Path | BaseLoader
"""A folder of templates, or what loads them."""


class Renderer:
    """The templates of the host, the plugins and the core.

    Args:
        sources: Folders or loaders; the first that has a template wins.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._environment = _environment(tuple(sources))

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """The page as text.

        Raises:
            TemplateNotFound: No source has it.
            UndefinedError: The template uses a value that the context lacks.
        """
        return self._environment.get_template(template).render(dict(context))

    def response(self, template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """The page as an answer that allows the scripts which its templates name: `{{ script("badge/badge.js") }}`."""
        page = self.render(template, context)
        hashes = [digest for element, digest in self._environment.scripts.items() if element in page]
        return HTMLResponse(page, status_code=status, headers=mount_headers(hashes) if hashes else None)

    def parts(
        self, outcomes: Iterable[tuple[str, Sequence[Part] | SigraError]], context: Mapping[str, Any]
    ) -> RenderedParts:
        """The parts of a page, each rendered alone: one that fails is reported, and its neighbours are shown.

        Args:
            outcomes: What each plugin said or raised, with its name.
            context: What every page has.
        """
        rendered = RenderedParts()
        for plugin, outcome in outcomes:
            if isinstance(outcome, SigraError):
                rendered.failed = True
                continue
            for part in outcome:
                self._add(rendered, plugin, part, context)
        return rendered

    def _add(self, rendered: RenderedParts, plugin: str, part: Part, context: Mapping[str, Any]) -> None:
        try:
            text = self.render(part.template, {**context, **part.context})
        except Exception:  # noqa: BLE001  (a stranger's template may fail in any way; the operator is told which)
            _log.exception("the part %s of plugin %s cannot be rendered", part.template, plugin)
            rendered.failed = True
            return
        rendered.add(part, Markup(text))  # noqa: S704  (rendered with every value escaped)


class _Environment(Environment):
    """Pages' templates, compiled, and the scripts that they named.

    Args:
        sources: The first that has a template wins.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        super().__init__(
            loader=ChoiceLoader([_loader(source) for source in sources]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.scripts: dict[str, str] = {}
        self.filters.update(browser=browser, moment=moment)
        self.globals["script"] = _script


@lru_cache(maxsize=16)
def _environment(sources: tuple[Source, ...]) -> _Environment:
    # Remembered, since compiling takes longer than most tests do; a file that changes is compiled again.
    return _Environment(sources)


@pass_environment
def _script(environment: _Environment, template: str) -> Markup:
    """A script, its text the same on every page: it is given no values, so that none can become code."""
    text = environment.get_template(template).render()
    element = f"<script>{text}</script>"
    environment.scripts[element] = script_hash(text)
    return Markup(element)  # noqa: S704  (a template's own text)


class RenderedParts:
    """What a page's template shows where: `{{ parts("main") }}`, and whether something is missing: `parts.failed`."""

    def __init__(self) -> None:
        self.failed = False
        self._slots: dict[str, list[tuple[int, Markup]]] = {}

    def add(self, part: Part, text: Markup) -> None:
        """Put a rendered part into its slot."""
        self._slots.setdefault(part.slot, []).append((part.order, text))

    def __call__(self, slot: str) -> Markup:
        """The parts of a slot, in their order; of one order as the plugins are."""
        return Markup().join(text for _, text in sorted(self._slots.get(slot, ()), key=lambda placed: placed[0]))


def names_in(source: Source) -> Iterator[str]:
    """The templates in a source, as far as it can tell."""
    try:
        yield from _loader(source).list_templates()
    except TypeError:
        return  # a loader that cannot list what it has says so by this


def _loader(source: Source) -> BaseLoader:
    return source if isinstance(source, BaseLoader) else FileSystemLoader(source)

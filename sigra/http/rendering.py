"""Pages from templates in which every value is escaped and a missing one is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse


class Renderer:
    """The templates of the host, the plugins and the core.

    Args:
        sources: Folders or loaders; the first that has a template wins.
    """

    def __init__(self, sources: Sequence[str | Path | BaseLoader]) -> None:
        self._environment = Environment(
            loader=ChoiceLoader([_loader(source) for source in sources]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """The page as text.

        Raises:
            TemplateNotFound: No source has it.
            UndefinedError: The template uses a value that the context lacks.
        """
        return self._environment.get_template(template).render(dict(context))

    def response(self, template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """The page as an answer."""
        return HTMLResponse(self.render(template, context), status_code=status)


def _loader(source: str | Path | BaseLoader) -> BaseLoader:
    return source if isinstance(source, BaseLoader) else FileSystemLoader(source)

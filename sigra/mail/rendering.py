"""Messages as text and HTML: one template says both, so that they cannot differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

Source = str | Path | BaseLoader

FACES = ("text", "html")


class MailRenderer:
    """The templates of messages.

    Args:
        sources: Folders or loaders; the first that has a template wins.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._environments = {face: _environment(sources, escapes=face == "html") for face in FACES}

    def render(self, kind: str, context: Mapping[str, Any]) -> tuple[str, str, str]:
        """Subject, text and HTML of a kind."""
        text = self._environments["text"].get_template(f"mail/{kind}.jinja")
        given = {**context, "face": "mail/text.jinja"}
        blocks = text.blocks
        subject = "".join(blocks["subject"](text.new_context(given))).strip()
        html = self._environments["html"].get_template(f"mail/{kind}.jinja")
        return subject, text.render(given), html.render({**context, "face": "mail/html.jinja"})


def _environment(sources: Sequence[Source], *, escapes: bool) -> Environment:
    loaders = [source if isinstance(source, BaseLoader) else FileSystemLoader(source) for source in sources]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=escapes,  # noqa: S701  (plain text has nothing to escape)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]  # the extension's
    return environment

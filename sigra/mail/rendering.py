"""Messages as text and HTML, in the reader's language: one template says both, so that they cannot differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from sigra.http.readable import browser
from sigra.mail.catalogues import Catalogues

Source = str | Path | BaseLoader

FACES = ("text", "html")

_MORE_BLANK_LINES = re.compile(r"\n{3,}")

_WORDS = "translations"
"""Where in a template's values the words of its language lie."""


class Rendered(NamedTuple):
    """What a message says."""

    subject: str
    text: str
    html: str


class MailRenderer:
    """The templates of messages.

    Args:
        sources: Folders or loaders; the first that has a template wins.
        catalogues: The languages that they can be written in.
    """

    def __init__(self, sources: Sequence[Source], catalogues: Catalogues) -> None:
        self.catalogues = catalogues
        self._environments = {face: _environment(tuple(sources), escapes=face == "html") for face in FACES}

    def render(self, kind: str, language: str, context: Mapping[str, Any]) -> Rendered:
        """What a kind of message says, in one of the catalogues' languages.

        Args:
            context: Each text in it becomes one line that shows nothing but itself.
        """
        words = self.catalogues.translations(language)
        given = {**{name: plain(value) for name, value in context.items()}, "language": language, _WORDS: words}
        given["subject"] = self._subject(kind, given)
        text, html = (self._face(face, kind, given) for face in FACES)
        return Rendered(given["subject"], _MORE_BLANK_LINES.sub("\n\n", text.strip()) + "\n", html.lstrip())

    def _subject(self, kind: str, given: Mapping[str, Any]) -> str:
        template = self._environments["text"].get_template(f"mail/{kind}.jinja")
        inside = template.new_context({**given, "face": "mail/text.jinja"})
        return str(plain("".join(template.blocks["subject"](inside))))

    def _face(self, face: str, kind: str, given: Mapping[str, Any]) -> str:
        template = self._environments[face].get_template(f"mail/{kind}.jinja")
        return template.render({**given, "face": f"mail/{face}.jinja"})


def plain(value: Any) -> Any:
    """The same with every text on one line, without characters that steer terminals or turn the direction of text."""
    if isinstance(value, str):
        return " ".join("".join(char for char in value if char.isprintable() or char.isspace()).split())
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


@lru_cache(maxsize=16)
def _environment(sources: tuple[Source, ...], *, escapes: bool) -> Environment:
    # Remembered, since compiling takes longer than most tests do; a file that changes is compiled again.
    loaders = [source if isinstance(source, BaseLoader) else FileSystemLoader(source) for source in sources]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=escapes,  # noqa: S701  (plain text has nothing to escape)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.filters["browser"] = browser
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]  # the extension's
    return environment


@pass_context
def _gettext(context: Context, text: str) -> str:
    return str(context[_WORDS].gettext(text))


@pass_context
def _ngettext(context: Context, one: str, many: str, number: int) -> str:
    return str(context[_WORDS].ngettext(one, many, number))

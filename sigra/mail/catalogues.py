"""Which languages messages are written in, and their words: catalogues of the host, the plugins and the core."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from sigra.errors import ConfigurationError

DOMAIN = "sigra"
SOURCE = "en"
"""The language of the templates themselves."""

_QUALITY = re.compile(r"\s*(?:q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?\s*", re.ASCII | re.IGNORECASE)


class Catalogues:
    """Translations by language, from `<folder>/<language>/LC_MESSAGES/sigra.mo` (GNU gettext).

    Args:
        folders: The first that has a text wins; one that does not exist has none.

    Raises:
        ConfigurationError: A catalogue cannot be read.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._found: dict[str, NullTranslations] = {SOURCE: NullTranslations()}
        for folder in folders:
            for file in sorted(folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")):
                self._add(_tag(file.parts[-3]), _read(file))

    def _add(self, language: str, translations: GNUTranslations) -> None:
        present = self._found.get(language)
        if isinstance(present, GNUTranslations):
            present.add_fallback(translations)
        else:
            self._found[language] = translations

    @property
    def languages(self) -> tuple[str, ...]:
        """The tags of all languages that there are, in lower case."""
        return tuple(self._found)

    def translations(self, language: str) -> NullTranslations:
        """The words of a language that `preferred` named."""
        return self._found[language]

    def preferred(self, locale: str | None, accepted: str | None) -> str:
        """The language to write in: the reader's own choice, else what the request asked for, else English.

        Args:
            locale: A language tag; a longer one than we have finds its beginning (RFC 4647, section 3.4).
            accepted: As in `Accept-Language`.
        """
        for wanted in (locale or "", *accepted_languages(accepted or "")):
            for tag in _shorter_and_shorter(_tag(wanted)):
                if tag in self._found:
                    return tag
        return SOURCE


def accepted_languages(header: str) -> list[str]:
    """The language ranges of an `Accept-Language`, the most wanted first (RFC 9110, section 12.5.4)."""
    weighted = []
    for item in header.split(","):
        wanted, _, parameter = item.partition(";")
        quality = _QUALITY.fullmatch(parameter)
        if quality is not None and float(quality[1] or 1) > 0:
            weighted.append((float(quality[1] or 1), wanted.strip()))
    return [wanted for _, wanted in sorted(weighted, key=lambda one: -one[0])]


def beside(plugins: Sequence[object]) -> list[Path]:
    """The folders `locale` beside the modules of plugins."""
    files = (getattr(sys.modules.get(type(plugin).__module__), "__file__", None) for plugin in plugins)
    return list(dict.fromkeys(Path(file).parent / "locale" for file in files if file is not None))


def _tag(text: str) -> str:
    """One spelling of a language: `de_AT` is `de-at`."""
    return text.strip().replace("_", "-").lower()


def _shorter_and_shorter(tag: str) -> Iterator[str]:
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def _read(file: Path) -> GNUTranslations:
    try:
        with file.open("rb") as opened:
            return GNUTranslations(opened)
    except (OSError, ValueError, struct.error):
        raise ConfigurationError(f"{file} is no catalogue that can be read: compile it again, or remove it.") from None

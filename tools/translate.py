"""Collect the texts of mails into the catalogues beside them, `locale/`, and compile what is translated.

Run it after a change of a text or of a translation: `.venv/bin/python -m tools.translate`. A text without a translation
is named, and the script ends with 1.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
PACKAGES = (ROOT / "sigra", *sorted(ROOT.glob("plugins-contrib/*/src/*")))

METHODS = [("**.jinja", "jinja2.ext:babel_extract")]
OPTIONS = {"**.jinja": {"silent": "false"}}


def texts(package: Path) -> Catalog:
    """All of a package that is to be translated."""
    catalog = Catalog(project="Sigra", charset="utf-8")
    for file, _, message, comments, context in extract_from_dir(package / "templates" / "mail", METHODS, OPTIONS):
        catalog.add(message, None, [(f"templates/mail/{file}", 0)], auto_comments=comments, context=context)
    return catalog


def sources() -> list[Path]:
    """The catalogues, as translators see them."""
    return [source for package in PACKAGES for source in sorted(package.glob("locale/*/LC_MESSAGES/*.po"))]


def updated(source: Path) -> Catalog:
    """A catalogue with every text of today and no other, and the translations that it has."""
    with source.open("rb") as file:
        catalog = read_po(file, locale=source.parts[-3])
    today = texts(source.parents[3])
    today.creation_date = catalog.creation_date
    catalog.update(today, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.last_translator = catalog.language_team = catalog.msgid_bugs_address = ""
    return catalog


def as_text(catalog: Catalog) -> bytes:
    """A catalogue as it is edited."""
    file = io.BytesIO()
    write_po(file, catalog, width=120, sort_by_file=True, include_lineno=False, include_previous=False)
    return file.getvalue()


def compiled(catalog: Catalog) -> bytes:
    """A catalogue as it is read by the application."""
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def faults(catalog: Catalog) -> Iterator[str]:
    """What is not translated, or wrongly: with other placeholders, or with fewer forms than the language has."""
    for message in catalog:
        said = message.string if isinstance(message.string, (list, tuple)) else [message.string]
        if message.id and (message.fuzzy or not all(said)):
            yield f"{catalog.locale}: not translated: {message.id!r}"
        elif message.id:
            yield from (f"{catalog.locale}: {error}: {message.id!r}" for error in message.check(catalog))


def main() -> int:
    """Update and compile every catalogue."""
    wrong: list[str] = []
    for source in sources():
        catalog = updated(source)
        source.write_bytes(as_text(catalog))
        source.with_suffix(".mo").write_bytes(compiled(catalog))
        wrong += faults(catalog)
    for fault in wrong:
        print(fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Every text of a mail is translated, and what is translated is what is read."""

from __future__ import annotations

from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages import Catalog

from tools import translate


@pytest.fixture(params=translate.sources(), ids=lambda source: f"{source.parts[-5]} {source.parts[-3]}")
def source(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_there_is_a_german_catalogue():
    packages = [package for package in translate.PACKAGES if (package / "templates" / "mail").exists()]

    assert [source.parents[3] for source in translate.sources() if source.parts[-3] == "de"] == packages


def test_every_text_is_translated(source: Path):
    assert list(translate.faults(translate.updated(source))) == [], "run `.venv/bin/python -m tools.translate`"


def test_what_is_read_is_what_is_translated(source: Path):
    compiled = GNUTranslations(BytesIO(translate.compiled(translate.updated(source))))
    with source.with_suffix(".mo").open("rb") as file:
        read = GNUTranslations(file)

    for message in translate.updated(source):
        if isinstance(message.id, str) and message.id:
            assert read.gettext(message.id) == compiled.gettext(message.id)
        elif message.id:
            for number in (1, 2):
                assert read.ngettext(*message.id, number) == compiled.ngettext(*message.id, number)


@pytest.mark.parametrize("said", ["", "Hallo %(nam)s", "Hallo %(name)d"])
def test_a_text_that_is_not_or_wrongly_translated_is_told(said: str):
    catalog = Catalog(locale="de")
    catalog.add("Hello %(name)s", said, flags=["python-format"])

    assert len(list(translate.faults(catalog))) == 1

"""The references are what the code says today, and tell when they are not."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import pytest

import sigra.db
import sigra.testing
from sigra import hookspecs
from tests.player import ROOT
from tools import document_errors, document_hooks, document_settings, draw_hooks
from tools.document import REFERENCES
from tools.marked import filled


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda one: one.__name__)
def test_the_references_are_todays(reference: ModuleType):
    page = reference.PAGE.read_text("utf-8")

    assert reference.rendered(page) == page, "run `.venv/bin/python -m tools.document`"


def test_a_reference_that_is_old_is_told():
    page = document_settings.PAGE.read_text("utf-8").replace("`86400`", "`86401`")

    assert document_settings.rendered(page) != page


def test_a_page_without_marks_is_told():
    with pytest.raises(ValueError, match="marks of hooks"):
        filled("# Hooks\n", "hooks", "all of them")


def test_an_error_without_a_cure_is_told():
    class Unhelpful(document_errors.SigraError):
        """Raised for something."""

    with pytest.raises(ValueError, match="Unhelpful does not say what to do"):
        document_errors.meaning(Unhelpful)


def test_the_diagram_has_every_hook_and_no_other():
    drawn = re.findall(r'class="name">(\w+)<', draw_hooks.PAGE.read_text("utf-8"))

    assert sorted(drawn) == sorted(hook.name for hook in document_hooks.hooks_of(inspect.getsource(hookspecs)))


@pytest.mark.parametrize("module", [sigra, sigra.db, sigra.testing], ids=lambda one: one.__name__)
def test_every_public_name_is_on_some_page(module: ModuleType):
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md"))

    assert [name for name in module.__all__ if not re.search(rf"\b{name}\b", pages)] == []


@pytest.mark.parametrize("module", [sigra, sigra.db], ids=lambda one: one.__name__)
def test_every_public_name_is_in_a_reference(module: ModuleType):
    named = ("api", "errors", "events", "hooks", "settings")
    references = "\n".join((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in named)

    assert [name for name in module.__all__ if not re.search(rf"\b{name}\b", references)] == []

"""Each plugin has a page, which bears what it brings: routes with their fields, options, events, codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from sigra import Sigra, hooks
from sigra.events import Action, Event
from sigra.sources import option_name
from sigra.testing import cheap_settings
from tests.player import ROOT
from tools import distributions, document_events

PAGES = ROOT / "docs" / "plugins"
OURS = distributions.ours()
NO_FIELDS = ("login_token",)
"""Fields that are the seam's, on any route."""


def undocumented(name: str, page: str) -> list[str]:
    """What a plugin brings and its page does not say, in code's letters."""
    code = "\n".join(re.findall(r"(?<!`)`([^`]+)`(?!`)", page))
    return [what for what in brought(name) if not re.search(rf"(?<![\w./]){re.escape(what)}(?![\w./{{])", code)]


def brought(name: str) -> Iterator[str]:
    auth = Sigra(cheap_settings(), distributions.everything())
    [plugin] = [one for one in OURS if one.name == name]
    for route in auth.routes.get(name, ()):
        yield from of_route(route)
    model = hooks.section_model(plugin)
    yield from (option_name(name, field) for field in (model.model_fields if model else ()))
    yield from (error.code for error in getattr(plugin.load(), "errors", ()))
    for kind in (Event, Action):
        yield from (cls.name for cls in document_events.brought(kind) if distributions.owner(cls) == name)


def of_route(route: Any) -> Iterator[str]:
    """Path as a page writes it (`/sessions/{id}`), and the fields of the body."""
    yield route.path.replace(":uuid", "") if isinstance(route, Route) else route.path
    body = getattr(route, "body", None)
    yield from (field for field in (body.model_fields if body else ()) if field not in NO_FIELDS)


@pytest.mark.parametrize("plugin", OURS, ids=lambda plugin: plugin.name)
def test_the_page_of_a_plugin_bears_what_it_brings(plugin: Any):
    page = PAGES / f"{plugin.name}.md"

    assert undocumented(plugin.name, page.read_text("utf-8")) == []


def test_the_list_of_plugins_has_every_one():
    page = (PAGES / "index.md").read_text("utf-8")

    for plugin in OURS:
        assert f"[`{plugin.name}`]({plugin.name}.md)" in page


@pytest.mark.parametrize("what", ["/sessions/{id}", "SIGRA_SESSIONS__IDLE", "session.revoked"])
def test_what_a_page_leaves_out_is_told(what: str):
    page = Path(PAGES / "sessions.md").read_text("utf-8").replace(what, "…")

    assert what in undocumented("sessions", page)

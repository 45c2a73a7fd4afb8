"""The examples run, each in its framework, and know who asks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sigra.testing import Client, create_tables, make_user
from tests.cli.conftest import SETTINGS
from tests.player import ROOT

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def load(path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> ModuleType:
    """An example, imported where a server would import it: beside its database."""
    monkeypatch.chdir(folder)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Each of them."""
    return load(request.param, monkeypatch, tmp_path)


async def test_an_example_knows_who_asks(example: ModuleType):
    async with example.auth as auth, Client(example.app, auth) as client:
        await create_tables(auth)
        user = await make_user(auth)
        stranger, refused = await client.get("/"), await client.get("/private")
        await client.sign_in(user)
        known, let_in = await client.get("/"), await client.get("/private")

    assert "Hello, stranger!" in stranger.text
    assert refused.status_code == 401
    assert "Hello, ada@example.com!" in known.text
    assert "For ada@example.com alone." in let_in.text


def test_every_example_is_on_the_page_of_frameworks():
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8")

    for path in EXAMPLES:
        assert f"(examples/{path.name})" in page

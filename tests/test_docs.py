"""What the pages say is so: their code runs, the names that they use exist, their tables are today's."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sigra import Settings, Sigra, hooks
from sigra.settings import complete, from_sources
from sigra.testing import Client, FrozenClock, cheap_settings, create_tables, make_user
from tools import distributions, document_settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Run a block as a module, which dataclasses and pydantic can look up."""

    def run(source: str) -> ModuleType:
        module = ModuleType("example")
        monkeypatch.setitem(sys.modules, "example", module)
        exec(compile(source, "example", "exec"), vars(module))
        return module

    return run


@asynccontextmanager
async def serving(auth: Sigra, app: Any) -> AsyncIterator[Client]:
    async with auth, Client(app, auth) as client:
        await create_tables(auth)
        yield client


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("only the mount path is asked")


# README


async def test_the_example_of_the_readme_runs(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "SECRET_KEYS": "k" * 32,
        "BASE_URL": "http://localhost:8000",
        "DEVELOPMENT": "true",
        "PASSWORD__MEMORY_KIB": "8",
        "PASSWORD__TIME": "1",
    }.items():
        monkeypatch.setenv(f"SIGRA_{name}", value)
    app = run(blocks("README.md", "python")[0]).app

    async with serving(app.auth, app) as client:
        user = await make_user(client.sigra)
        anonymous = await client.get("/")
        await client.sign_in(user)
        known = await client.get("/")

    assert anonymous.status_code == 401
    assert known.json() == {"hello": user.email}


async def test_the_plugin_of_the_readme_holds(run: Any, tmp_path: Path) -> None:
    module = run(blocks("README.md", "python")[1])
    settings = cheap_settings(f"sqlite:///{tmp_path}/test.sqlite3")
    clock = FrozenClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
    await module.build(settings).aclose()
    auth = Sigra(settings, ["defaults", module.OfficeHours()], clock=clock)

    async with serving(auth, auth.wrap(nothing)) as client:
        user = await make_user(auth)
        by_day = await client.sign_in(user)
        clock.now = datetime(2026, 1, 1, 18, tzinfo=UTC)
        client.cookies.clear()
        by_night = await client.sign_in(user)

    assert by_day.status_code == 200
    assert (by_night.status_code, by_night.json()["code"]) == (403, "refused")


def test_the_readme_is_short() -> None:
    assert len(blocks("README.md", "python")[0].splitlines()) <= 14


# Settings


def test_every_option_is_on_the_page() -> None:
    page = document_settings.PAGE.read_text("utf-8")
    for name in Settings.model_fields:
        assert f"SIGRA_{name.upper()}" in page
    for plugin in distributions.ours():
        model = hooks.section_model(plugin)
        for name in model.model_fields if model is not None else ():
            assert f"SIGRA_{plugin.name.upper()}__{name.upper()}" in page


def test_the_example_of_the_settings_is_read(tmp_path: Path) -> None:
    (tmp_path / "sigra.toml").write_text(blocks("docs/settings.md", "toml")[0])
    exports = dict(re.findall(r"^export (\w+)=(\w+)$", blocks("docs/settings.md", "sh")[0], re.MULTILINE))
    models = {item.name: model for item in hooks.installed() if (model := hooks.section_model(item))}

    read = from_sources({"SIGRA_SECRET_KEYS": "k" * 32, **exports}, tmp_path)

    sessions: Any = complete(read, models).sessions  # type: ignore[attr-defined]
    assert sessions.idle.total_seconds() == 1800
    assert exports == {"SIGRA_SESSIONS__IDLE": "1800"}


# Architecture


@cache
def defined(path: Path) -> frozenset[str]:
    """The functions, classes, methods, fields and constants of a file: `sign_in` and `Seam.sign_in`."""
    return frozenset(_names(ast.parse(path.read_text("utf-8")), ""))


def _names(node: ast.AST, above: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child.name
            yield f"{above}{child.name}"
            yield from _names(child, f"{child.name}.") if isinstance(child, ast.ClassDef) else ()
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            yield child.target.id


ALL = frozenset[str]().union(*(defined(path) for path in sorted((ROOT / "sigra").rglob("*.py"))))
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")
OF_OTHERS = {"Authorization", "MetaData", "sigra.toml"}
NAME = r"[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_]\w*)?"


@pytest.mark.parametrize("name", sorted(set(re.findall(rf"`({NAME})`", ARCHITECTURE))))
def test_every_name_of_the_architecture_exists(name: str) -> None:
    assert name in ALL or name in OF_OTHERS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(sigra/[\w/.]*)`", ARCHITECTURE))))
def test_every_file_of_the_architecture_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), re.findall(rf"`({NAME})`\s+(?:of|in)\s+`(sigra/[\w/]+\.py)`", ARCHITECTURE))
def test_every_name_of_the_architecture_is_in_its_file(name: str, path: str) -> None:
    assert name in defined(ROOT / path)


def test_the_floors_of_the_architecture_are_all_rooms() -> None:
    floors = blocks("docs/architecture.md", "text")[0]
    rooms = {path.name for path in (ROOT / "sigra").iterdir() if path.name[0] not in "_."} - {"py.typed"}

    for room in rooms - {"migrations", "templates"}:
        assert room in floors


# All pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_of_a_page_exists(page: Path) -> None:
    known = {f"SIGRA_{name.upper()}" for name in Settings.model_fields} | {"SIGRA_CONFIG", "SIGRA_BADGE"}
    known |= {f"SIGRA_{item.name.upper()}" for item in hooks.installed()}

    assert {found.split("__")[0] for found in re.findall(r"SIGRA_[A-Z_]+", page.read_text("utf-8"))} <= known

"""The floors hold: imports run downward only, and the core knows no plugin."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from sigra import hooks
from tools import distributions

ROOT = Path(__file__).parents[1]
CORE = [path for path in sorted((ROOT / "sigra").rglob("*.py")) if "plugins" not in path.parts]


def test_lint_imports_runs_clean() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def imported(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return names + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_names_no_plugin(path: Path) -> None:
    if {"testing", "demo"} & set(path.parts):
        return  # they stand outside: what a user of Sigra would write
    assert not [name for name in imported(path) if name.startswith("sigra.plugins")]


def test_every_built_in_plugin_has_a_file_of_its_name() -> None:
    files = {path.stem for path in (ROOT / "sigra/plugins").glob("*") if not path.name.startswith("_")}

    assert {one.name for one in hooks.installed() if one.distribution == "sigra"} == files


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_why_it_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    assert ast.get_docstring(tree) or not tree.body


OF_STRANGERS = sorted(distributions.CONTRIB.glob("*/src/**/*.py"))
PUBLIC = {"sigra", "sigra.answers", "sigra.db"}


@pytest.mark.parametrize("path", OF_STRANGERS, ids=lambda path: str(path.relative_to(distributions.CONTRIB)))
def test_what_is_installed_on_its_own_imports_the_public_face(path: Path) -> None:
    distribution = path.relative_to(distributions.CONTRIB).parts[0]
    ours = [name for name in imported(path) if name.partition(".")[0].startswith("sigra")]
    its = distributions.package(distribution)

    assert [name for name in ours if name not in PUBLIC and name.partition(".")[0] != its] == []


def test_every_distribution_is_checked_by_the_type_checker() -> None:
    options = (ROOT / "pyproject.toml").read_text("utf-8")

    for distribution in distributions.ON_THEIR_OWN:
        assert f'"plugins-contrib/{distribution}/src"' in options
        assert list((distributions.CONTRIB / distribution / "src").glob("*/py.typed")), distribution

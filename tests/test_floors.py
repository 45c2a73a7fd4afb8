"""The floors hold: imports run downward only, and the core knows no plugin."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from sigra import hooks

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

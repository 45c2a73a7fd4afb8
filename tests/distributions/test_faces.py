"""Strangers need nothing but the public face: what they import is checked, and their own contract suites are run."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sigra
import sigra.db
import sigra.testing
from sigra import Auth
from tests.distributions.conftest import DISTRIBUTIONS, HERE

PUBLIC = {"sigra": sigra, "sigra.db": sigra.db, "sigra.testing": sigra.testing}
SOURCES = sorted(path for name in DISTRIBUTIONS for path in (HERE / name).rglob("*.py"))

every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(HERE)))


@every_source
def test_a_stranger_imports_only_the_public_face(source):
    ours = [(module, name) for module, name in imported(source) if module.partition(".")[0] == "sigra"]

    assert [module for module, _ in ours if module not in PUBLIC] == []
    assert [name for module, name in ours if name not in PUBLIC[module].__all__] == []


@every_source
def test_a_stranger_asks_auth_only_what_the_protocol_has(source):
    asked = {
        node.attr
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "auth"
    }

    assert asked <= {name for name in dir(Auth) if not name.startswith("_")}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_stranger_passes_the_contract_in_a_project_of_its_own(name, unpacked, tmp_path):
    """With its own tests alone: none of our fixtures and options are there."""
    done = run_contract(name, unpacked[name], tmp_path)

    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('        Column("blocked", Boolean, nullable=False),\n', ""),
        ('"sigra_badges"', '"sigra_badge_readers"'),
        (
            "    op.create_table(\n",
            '    op.create_table("sigra_badge_doors", Column("id", Boolean))\n    op.create_table(\n',
        ),
    ],
    ids=["lacks a column", "makes another table", "makes one more"],
)
def test_a_stranger_whose_migrations_differ_breaks_the_contract(unpacked, tmp_path, right, wrong):
    site = shutil.copytree(unpacked["sigra-badge"], tmp_path / "site")
    revision = site / "sigra_badge" / "migrations" / "0001_badges.py"
    assert right in revision.read_text()
    revision.write_text(revision.read_text().replace(right, wrong, 1))
    done = run_contract("sigra-badge", site, tmp_path, "-k", "migrations")

    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout and "test_its_migrations_make_its_tables_and_no_others" in done.stdout


def run_contract(name: str, site: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a distribution's own tests in a project that has nothing of ours."""
    shutil.copytree(HERE / name / "tests", folder / "tests")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "tests"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def imported(source: Path) -> list[tuple[str, str]]:
    """Module and name of everything that a file imports."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} imports by a relative path"
            found += [(node.module or "", alias.name) for alias in node.names]
    return found

"""The mutants fit the source of today, and no hard case is claimed by a test's name alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.patches import ROOT, Mutant, load_mutants

WITHOUT_MUTANT: dict[int, str] = {}
"""Hard cases whose tests guard no rule that could be deleted, and why."""

each_mutant = pytest.mark.parametrize("mutant", load_mutants(), ids=lambda mutant: mutant.name)


@each_mutant
def test_mutant_applies(mutant: Mutant) -> None:
    mutant.apply(ROOT, "--check")


@each_mutant
def test_mutant_names_existing_tests(mutant: Mutant) -> None:
    missing = [test for test in mutant.tests if not is_defined(test)]

    assert missing == []


@each_mutant
def test_mutant_names_a_test_of_its_hard_case(mutant: Mutant) -> None:
    named = {number for test in mutant.tests for number in hard_cases_in(test)}

    assert set(mutant.hard_cases) <= named


def test_every_hard_case_that_a_test_claims_has_a_mutant() -> None:
    files = [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("plugins-contrib/*/tests/**/test_*.py")]
    claimed = {number for path in files for number in hard_cases_in(path.read_text())}
    covered = {number for mutant in load_mutants() for number in mutant.hard_cases}

    assert claimed - covered == set(WITHOUT_MUTANT)


def hard_cases_in(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"\btest_hc(\d+)_", text)}


def is_defined(test: str) -> bool:
    path, *names = test.partition("[")[0].split("::")
    return (ROOT / path).is_file() and "::".join(names) in functions_in(ROOT / path)


def functions_in(path: Path) -> set[str]:
    return set(walk(ast.parse(path.read_text()).body))


def walk(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from walk(node.body, f"{prefix}{node.name}::")

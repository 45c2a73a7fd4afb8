"""A pytest plugin that writes one JSON line per test phase: which test, on which database, and how it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

REPORT = "MUTANT_REPORT"
"""Name of the variable that holds the path of the file to write."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    callspec = getattr(item, "callspec", None)
    line = {
        "test": item.nodeid.partition("[")[0],
        "database": callspec.params.get("database") if callspec else None,
        "phase": report.when,
        "outcome": outcome_of(call),
        "text": call.excinfo.exconly()[:300] if call.excinfo else "",
    }
    with Path(os.environ[REPORT]).open("a") as file:
        file.write(json.dumps(line) + "\n")
    return report


def outcome_of(call: pytest.CallInfo[None]) -> str:
    """Return `passed`, `assertion` (a test says that the outcome is wrong), or `error` (anything else)."""
    if call.excinfo is None:
        return "passed"
    return "assertion" if all(map(is_assertion, leaves(call.excinfo.value))) else "error"


def leaves(error: BaseException) -> list[BaseException]:
    """Return what a group holds at last: a task group wraps the assertion of its task."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def is_assertion(error: BaseException) -> bool:
    """Tell an assertion of a test (`pytest.raises` that saw nothing is one) from one of the source itself."""
    if not isinstance(error, AssertionError | pytest.fail.Exception):
        return False
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    place = traceback.tb_frame.f_globals.get("__name__", "") if traceback else ""
    return not place.startswith("sigra.") or place.startswith("sigra.testing")

"""The judge of what a run exercises sees what happens, and says what did not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions.issuing import ROUTES
from tests.exercised import ISSUING, declared, missing, unexercised, unguarded
from tests.player import ROOT
from tools import run_tests

EVERYTHING = {"hook": {"check_request", "before_attempt"}, "option": {"SIGRA_HOME"}, "route": {"GET /session"}}

ONE_TEST = """
from sigra.testing import make_user
from tests.apps import running
from tests.ledger import Ledger


async def test_somebody_signs_in():
    async with running("sqlite:///:memory:", ["defaults", Ledger()], home="/welcome") as client:
        user = await make_user(client.sigra)
        await client.sign_in(user, "a wrong password")
        await client.post("/auth/login", data={"email": user.email, "password": "correct horse battery staple"})
        await client.get("/auth/session")
"""


def test_what_some_process_exercised_counts():
    records = [{"hook": ["check_request"], "option": []}, {"hook": ["before_attempt"], "option": ["SIGRA_HOME"]}]

    assert unexercised(EVERYTHING, records) == ["route GET /session"]


def test_without_a_record_nothing_counts():
    assert len(unexercised(EVERYTHING, [])) == 4


def test_an_unexercised_hook_is_told():
    whole = {kind: sorted(names) for kind, names in declared().items()}
    whole["hook"].remove("before_attempt")

    assert unexercised(declared(), [whole]) == ["hook before_attempt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of one test wrote down, in two processes."""
    folder = tmp_path_factory.mktemp("exercised")
    test = folder / "test_one.py"
    test.write_text(ONE_TEST)
    options = ["--confcutdir", ROOT, "-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "-p", "conftest"]
    command = [sys.executable, "-m", "pytest", "--quiet", "--numprocesses=2", *options, f"--exercised={folder}", test]
    subprocess.run(command, check=True, cwd=ROOT)
    assert len(list(folder.glob("*.json"))) == 3  # who shares out, and two who work
    return folder


@pytest.fixture(scope="module")
def left_over(folder: Path) -> list[str]:
    """What that run did not exercise."""
    return missing(folder)


@pytest.mark.parametrize(
    "what",
    [
        "hook record_event",
        "option SIGRA_HOME",
        "event sign_in.failed",
        "event sign_in.succeeded",
        "action sign_in",
        "code invalid_credentials",
        "route GET /session",
    ],
)
def test_what_a_run_exercises_is_seen(left_over: list[str], what: str):
    assert what not in left_over


@pytest.mark.parametrize(
    "what",
    [
        "hook before_attempt",
        "option SIGRA_MOUNT_PATH",
        "event sign_out.succeeded",
        "action sign_out",
        "code unauthenticated",
        "route POST /api-keys",
    ],
)
def test_what_a_run_leaves_out_is_said(left_over: list[str], what: str):
    assert what in left_over


def test_a_redirect_is_no_answer_of_a_route(left_over: list[str]):
    assert "route POST /login" in left_over


def test_hc10_a_route_that_was_seen_to_issue_a_credential_is_written_down(folder: Path):
    seen = {place for file in folder.glob("*.json") for place in json.loads(file.read_text())[ISSUING]}

    assert seen == {"POST /login"}
    assert unguarded(folder) == []


def test_hc10_a_route_that_issues_and_is_not_shown_to_stop_at_a_second_factor_fails_the_whole_suite(tmp_path: Path):
    whole = {kind: sorted(names) for kind, names in declared().items()}
    whole[ISSUING] = ["POST /api-keys", "POST /login", "POST /door of a test"]
    (tmp_path / "one.json").write_text(json.dumps(whole))

    [(line, good)] = run_tests.left_over(tmp_path)
    assert line.startswith("FAILED: POST /api-keys issues a credential")
    assert not good


def test_every_way_to_a_credential_is_a_route_that_is_there():
    strangers = {"POST /badge", "POST /login/badge", "POST /careless"}

    assert ROUTES - strangers <= declared()["route"]


def test_what_is_left_over_fails_the_whole_suite(tmp_path: Path):
    whole = {kind: sorted(names) for kind, names in declared().items()}
    whole["code"].remove("conflict")
    (tmp_path / "one.json").write_text(json.dumps(whole))

    assert run_tests.left_over(tmp_path) == [("FAILED: no test exercises code conflict", False)]


def test_a_whole_record_fails_nothing(tmp_path: Path):
    (tmp_path / "one.json").write_text(json.dumps({kind: sorted(names) for kind, names in declared().items()}))

    assert missing(tmp_path) == []

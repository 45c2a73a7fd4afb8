"""`sigra keys`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from sigra import Sigra
from sigra.testing import cheap_settings, create_tables
from tests.cli.conftest import SETTINGS, Run
from tests.safes import Safes

NEW, OLD = "a new key for tests that everybody knows", SETTINGS["SIGRA_SECRET_KEYS"]

APP = """
import os
from pathlib import Path
from sigra import Sigra
from sigra.settings import from_sources
from tests.safes import Safes

auth = Sigra(from_sources(os.environ, Path()), ["sessions", Safes()])
"""


def test_a_key_is_printed_alone_and_is_fit(bare: Run):
    result = bare("keys", "generate")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    assert cheap_settings(secret_keys=[result.stdout.strip()])


def test_no_two_keys_are_alike(bare: Run):
    assert bare("keys", "generate").stdout != bare("keys", "generate").stdout


def test_a_wrong_configuration_is_no_hindrance(bare: Run):
    assert bare("keys", "generate", SIGRA_SECRET_KEYS="short", SIGRA_APP="nonsense").exit_code == 0


# rotate


@pytest.fixture
def filled(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on an application with one thing sealed under the old key."""
    url = f"sqlite:///{folder / 'sigra.db'}"
    name = f"host_{abs(hash(folder))}"
    (folder / f"{name}.py").write_text(APP)
    monkeypatch.setattr(sys, "path", [*sys.path])
    asyncio.run(fill(url))

    def command(*arguments: str, **settings: str) -> Any:
        sys.modules.pop(name, None)
        return run(*arguments, **{"SIGRA_APP": f"{name}:auth", "SIGRA_DATABASE_URL": url, **settings})

    return command


async def fill(url: str) -> None:
    safes = Safes()
    async with Sigra(cheap_settings(url, secret_keys=[OLD]), ["sessions", safes]) as auth:
        await create_tables(auth)
        await auth.db.transaction(lambda tx: safes.fill(auth, tx, None, b"gold"))


def test_values_are_sealed_anew_and_what_cannot_be_is_said(filled: Run):
    result = filled("keys", "rotate", SIGRA_SECRET_KEYS=f"{NEW},{OLD}")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("sigra_safes.content: 1 sealed anew, 0 do not open\nSessions, API keys, ")
    assert "end when it leaves SIGRA_SECRET_KEYS" in result.stdout
    assert "content: 0 sealed anew" in filled("keys", "rotate", SIGRA_SECRET_KEYS=NEW).stdout


def test_what_does_not_open_is_status_1(filled: Run):
    result = filled("keys", "rotate", SIGRA_SECRET_KEYS=NEW)

    assert result.exit_code == 1
    assert "was sealed under a key that is not in SIGRA_SECRET_KEYS." in result.stderr
    assert "Not under the first key: 1. Do not remove the other keys." in result.stderr
    assert OLD not in result.output and NEW not in result.output


def test_absent_tables_hold_nothing(run: Run, folder: Path):
    result = run("keys", "rotate", SIGRA_DATABASE_URL="sqlite:///sigra.db")

    assert (result.exit_code, result.stderr) == (0, "")

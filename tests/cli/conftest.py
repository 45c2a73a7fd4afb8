"""`run("users", "list")`: the command line in this process, in a folder and with settings of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sigra.cli.shell import Shell

SETTINGS = {
    "SIGRA_SECRET_KEYS": "a key for tests that everybody knows",
    "SIGRA_BASE_URL": "http://localhost",
    "SIGRA_DEVELOPMENT": "true",
    "SIGRA_PASSWORD__MEMORY_KIB": "8",
    "SIGRA_PASSWORD__TIME": "1",
}

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bare(folder: Path) -> Run:
    """Run a command without any settings but those given."""

    def run(*arguments: str, input: str | None = None, **settings: str) -> Result:
        result = CliRunner().invoke(Shell(), arguments, input=input, env=settings)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


@pytest.fixture
def run(bare: Run) -> Run:
    """Run a command with valid settings."""

    def run(*arguments: str, input: str | None = None, **settings: str) -> Result:
        return bare(*arguments, input=input, **{**SETTINGS, **settings})

    return run

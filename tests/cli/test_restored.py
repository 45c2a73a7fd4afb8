"""`sigra db restored`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run

PASSWORD = "correct horse battery staple"


@pytest.fixture
def on(run: Run, database: str) -> Run:
    """A database with an account and a key."""

    def command(*arguments: str, **options: str) -> object:
        return run(*arguments, SIGRA_DATABASE_URL=database, **options)

    command("db", "upgrade")
    command("users", "create", "ada@example.com", "--password-stdin", input=PASSWORD)
    command("api-keys", "create", "ada@example.com", "--name", "ci")
    return command  # type: ignore[return-value]


def keys(on: Run) -> list[str]:
    return on("api-keys", "list", "ada@example.com").stdout.splitlines()


def test_it_says_what_it_ended_and_what_only_the_operator_knows(on: Run):
    before = keys(on)
    result = on("db", "restored", "--yes")

    assert (result.exit_code, len(before), keys(on)) == (0, 1, [])
    assert "API keys: 1\n" in result.stdout
    assert "accounts whose earlier proofs ended: 1\n" in result.stdout
    assert "passwords: " not in result.stdout and "--passwords" in result.stdout
    assert "disabled" in result.stdout
    assert result.stderr == ""


def test_passwords_end_only_when_that_is_said(on: Run):
    result = on("db", "restored", "--yes", "--passwords")

    assert "passwords: 1\n" in result.stdout
    assert "--passwords" not in result.stdout


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("\n", 1, 1), ("", 1, 1)])
def test_it_asks_first(on: Run, answer: str, status: int, left: int):
    result = on("db", "restored", input=answer)

    assert "Is the application stopped" in result.stdout
    assert (result.exit_code, len(keys(on))) == (status, left)


def test_tables_of_plugins_that_are_not_active_are_named(on: Run):
    result = on("db", "restored", "--yes", SIGRA_PLUGINS="defaults,-api_keys")

    assert result.exit_code == 0
    assert "sigra_api_keys was left as it is" in result.stderr
    assert len(keys(on)) == 1


def test_it_can_be_repeated(on: Run):
    on("db", "restored", "--yes")

    assert on("db", "restored", "--yes").exit_code == 0

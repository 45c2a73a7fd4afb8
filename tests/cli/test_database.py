"""`sigra db`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def on(run: Run, database: str) -> Run:
    return lambda *arguments: run(*arguments, SIGRA_DATABASE_URL=database)


def test_an_empty_database_is_upgraded_and_is_then_as_it_should_be(on: Run):
    before, upgraded, after = on("db", "check"), on("db", "upgrade"), on("db", "check")

    assert (before.exit_code, upgraded.exit_code, after.exit_code) == (1, 0, 0)
    assert "sigra is at nothing, not 0001" in before.stdout
    assert upgraded.stdout == "sigra: empty -> 0001\n"
    assert after.stdout == "The database is as it should be.\n"


def test_an_upgrade_can_be_repeated(on: Run):
    on("db", "upgrade")

    assert on("db", "upgrade").stdout == "sigra: stays at 0001\n"


@pytest.mark.parametrize("first", ["upgrade", "check"])
def test_a_new_database_file_is_not_for_everybody(run: Run, first: str, tmp_path: Path):
    file = tmp_path / "new.db"
    run("db", first, SIGRA_DATABASE_URL=f"sqlite:///{file}")

    modes = {path.name: path.stat().st_mode & 0o007 for path in tmp_path.glob("new.db*")}
    assert "new.db" in modes
    assert set(modes.values()) == {0}


def test_current_tells_where_the_tables_are(on: Run):
    before = on("db", "current").stdout
    on("db", "upgrade")

    assert before.splitlines()[1].split() == ["sigra", "-", "0001"]
    assert on("db", "current").stdout.splitlines()[1].split() == ["sigra", "0001", "0001"]


def test_a_command_on_an_empty_database_says_what_to_do(on: Run):
    result = on("users", "list")

    assert result.exit_code == 1
    assert "sigra_users" in result.stderr
    assert "run `sigra db upgrade`" in result.stderr
    assert "SELECT" not in result.stderr


def test_harden_prints_what_the_application_may_do(run: Run):
    printed = run("db", "harden", "--role", 'my "app"', SIGRA_DATABASE_URL="postgresql://owner@localhost/db").stdout

    assert 'REVOKE ALL ON TABLE "sigra_users" FROM PUBLIC, "my ""app""";' in printed
    assert 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "sigra_users" TO "my ""app""";' in printed
    assert 'GRANT SELECT ON TABLE "sigra_version_sigra" TO "my ""app""";' in printed


def test_harden_names_a_user_of_mariadb_with_the_host(run: Run):
    printed = run("db", "harden", "--role", "a'b@10.0.0.%", SIGRA_DATABASE_URL="mariadb://owner@localhost/db").stdout

    assert printed.startswith("REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'a''b'@'10.0.0.%';\n")
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON `db`.`sigra_users` TO 'a''b'@'10.0.0.%';" in printed


@pytest.mark.parametrize("role", ["", "a\nb", "\x1b[31m"])
def test_harden_refuses_a_name_that_is_none(run: Run, role: str):
    assert run("db", "harden", "--role", role, SIGRA_DATABASE_URL="postgresql://owner@localhost/db").exit_code == 2


def test_harden_says_that_sqlite_has_no_roles(run: Run):
    result = run("db", "harden", SIGRA_DATABASE_URL="sqlite:///sigra.db")

    assert result.exit_code == 2
    assert "SQLite knows no roles" in result.stderr

import sys
from pathlib import Path

import pytest

from sigra.db.urls import dialect_for
from sigra.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite"),
        ("postgres://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg"),
        ("mysql://u:p@h/d", "mysql+asyncmy"),
        ("mariadb://u:p@h/d", "mariadb+asyncmy"),
    ],
)
def test_a_url_without_a_driver_takes_the_async_one(text, driver):
    assert dialect_for(text).url.drivername == driver


def test_the_second_driver_is_taken_when_the_first_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    assert dialect_for("postgresql://h/d").url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("missing", "text", "extra"),
    [
        (["asyncmy"], "mysql://h/d", "mysql"),
        (["asyncpg", "psycopg"], "postgresql://h/d", "postgresql"),
        (["psycopg"], "postgresql+psycopg://h/d", "psycopg"),
    ],
)
def test_hc49_a_missing_driver_names_its_extra(monkeypatch, missing, text, extra):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ConfigurationError, match=rf"SIGRA_DATABASE_URL .*sigra\[{extra}\]"):
        dialect_for(text)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("postgresql+psycopg2://h/d", r"psycopg2.* use postgresql\+asyncpg:"),
        ("sqlite+pysqlite:///x.db", r"use sqlite\+aiosqlite:"),
        ("oracle://h/d", "use sqlite:, postgresql:"),
        ("x.db", "as in sqlite:///"),
        ("", "as in sqlite:///"),
        ("postgresql://u:secret@h:port/d", "as in sqlite:///"),
    ],
)
def test_hc49_a_wrong_url_names_the_option_and_the_cure(text, cure):
    with pytest.raises(ConfigurationError, match=f"SIGRA_DATABASE_URL .*{cure}") as refused:
        dialect_for(text)

    assert "secret" not in str(refused.value)


def test_sslmode_becomes_what_asyncpg_calls_it():
    url = dialect_for("postgres://h/d?sslmode=require&application_name=x").url

    assert url.query == {"ssl": "require", "application_name": "x"}


def test_a_relative_path_is_bound_to_the_directory_of_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert dialect_for("sqlite:///x.db").url.database == str(tmp_path / "x.db")


@pytest.mark.parametrize("text", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?cache=shared&uri=true"])
def test_each_database_in_memory_is_its_own(text):
    one, other = dialect_for(text), dialect_for(text)

    assert one.url.database != other.url.database


def test_hc49_a_sqlite_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"SIGRA_DATABASE_URL: the folder .*absent does not exist; make it"):
        dialect_for(f"sqlite:///{tmp_path / 'absent' / 'x.db'}")

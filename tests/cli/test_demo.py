"""`sigra demo`, without a browser: what it keeps, and how it declines. The journeys run it as a process."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from sigra.cli.demo.application import SCOPE, application, build
from sigra.cli.demo.folder import Folder, Secrets
from sigra.testing import Client, create_tables, make_api_key, make_user
from tests.cli.conftest import Run

SECRETS = Secrets("a key", "a password", "an API key")


@pytest.fixture
def kept(tmp_path: Path) -> Folder:
    """A folder as a whole run leaves it."""
    folder = Folder(tmp_path / "demo")
    folder.database.touch()
    folder.keep(SECRETS)
    return folder


def test_what_was_kept_is_found_again(kept: Folder):
    assert Folder(kept.database.parent).secrets() == SECRETS


def test_secrets_without_a_database_are_not_used(kept: Folder):
    kept.database.unlink()

    assert kept.secrets() is None


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"secret_key": "a key"}'])
def test_a_database_whose_first_run_was_cut_off_is_made_anew(kept: Folder, text: str | None):
    file = kept.database.with_name("secrets.json")
    file.unlink()
    if text is not None:
        file.write_text(text)
    kept.database.with_name("demo.db-wal").touch()

    assert kept.secrets() is None
    assert list(kept.database.parent.glob("demo.db*")) == []


def test_hc21_secrets_are_not_shown(kept: Folder):
    assert repr(kept.secrets()) == "Secrets()"


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_that_is_none_is_wrong_usage(bare: Run, port: str):
    assert bare("demo", "--port", port).exit_code == 2


def test_a_port_in_use_is_one_line(bare: Run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = bare("demo", "--port", str(port))

    assert result.exit_code == 1
    assert result.stderr == f"Error: Port {port} is in use: choose another with --port.\n"


def test_a_missing_server_names_its_extra(bare: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    result = bare("demo")

    assert result.exit_code == 1
    assert result.stderr == "Error: The demo needs a server: pip install 'sigra[server]'.\n"


def test_a_folder_that_cannot_be_used_is_one_line(bare: Run, folder: Path):
    (folder / ".sigra-demo").touch()

    result = bare("demo", "--port", str(free_port()))

    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert ".sigra-demo" in result.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


async def test_the_report_needs_the_scope(tmp_path: Path):
    async with build("http://localhost:8000", "k" * 32, tmp_path / "demo.db", {}) as auth:
        await create_tables(auth)
        user = await make_user(auth)
        keys = [await make_api_key(auth, user, SCOPE), await make_api_key(auth, user)]
        async with Client(application(auth), auth) as client:
            answers = [await client.get("/api/report", headers={"authorization": f"Bearer {key}"}) for key in keys] + [
                await client.get("/api/report")
            ]

    assert [answer.status_code for answer in answers] == [200, 403, 401]
    assert json.loads(answers[0].text)["by"] == "api_key"


async def test_hc38_the_page_that_says_who_you_are_is_not_stored(tmp_path: Path):
    async with build("http://localhost:8000", "k" * 32, tmp_path / "demo.db", {}) as auth:
        await create_tables(auth)
        async with Client(application(auth), auth) as client:
            answer = await client.get("/")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"

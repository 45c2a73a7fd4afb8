"""`sigra outbox` and `sigra worker --once`: what waits is listed, sent, given up and tried again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SETTINGS, Run

HOST = '''
from pathlib import Path

from sigra import Sigra, Undeliverable, hookimpl
from tests.mailing import Bell

class Line:
    """A sender whose line a file cuts."""
    name, api = "line", 1

    @hookimpl
    async def send_message(self, message):
        if Path("dead").exists():
            raise Undeliverable("the line is dead")
        with Path("sent").open("a") as file:
            print(message.recipient, file=file)
        print("sent", flush=True)
        return True

auth = Sigra.from_settings([Bell(), Line()])
'''


@pytest.fixture
def on(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a database with a request and a message that wait."""
    (folder / "bell_host.py").write_text(HOST)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "bell_host", raising=False)
    settings = {"SIGRA_DATABASE_URL": f"sqlite:///{folder / 'sigra.db'}", "SIGRA_APP": "bell_host:auth"}

    def on(*arguments: str):
        # Each command builds its own, as a process would.
        sys.modules.pop("bell_host", None)
        return run(*arguments, **settings)

    assert on("db", "upgrade").exit_code == 0
    return on


def fill() -> None:
    """Put a request and a message into the outbox of the host of the current directory."""
    from importlib import import_module

    from tests.mailing import ask, ring, send

    async def put() -> None:
        auth = import_module("bell_host").auth
        await ask(auth, "eve@example.com")
        await send(auth, ring("ada@example.com"))
        await auth.aclose()

    for name, value in {**SETTINGS, "SIGRA_DATABASE_URL": "sqlite:///sigra.db"}.items():
        os.environ[name] = value
    try:
        sys.modules.pop("bell_host", None)
        asyncio.run(put())
    finally:
        for name in [name for name in os.environ if name.startswith("SIGRA_")]:
            del os.environ[name]


def listed(on: Run) -> list[dict[str, object]]:
    return json.loads(on("outbox", "list", "--json").stdout)["outbox"]


def test_what_waits_is_listed_without_its_secrets(on: Run):
    fill()

    rows = listed(on)
    table = on("outbox", "list").stdout

    assert [(row["phase"], row["kind"], row["recipient"], row["state"]) for row in rows] == [
        ("request", "bell", "eve@example.com", "waiting"),
        ("message", "ring", "ada@example.com", "waiting"),
    ]
    assert rows[0].keys() == {"id", "phase", "kind", "recipient", "age", "tries", "state", "problem"}
    assert "ada@example.com" in table and "RECIPIENT" in table


def test_the_worker_does_once_what_is_due(on: Run, folder: Path):
    fill()

    done, again = on("worker", "--once"), on("worker", "--once")

    assert done.exit_code == 0 and "Done: " in done.stdout
    assert again.stdout == "Done: 0\n"
    assert sorted((folder / "sent").read_text().split()) == ["ada@example.com", "eve@example.com"]
    assert listed(on) == []


def test_what_was_given_up_is_tried_again_by_its_id_or_all_of_it(on: Run, folder: Path):
    fill()
    (folder / "dead").touch()
    on("worker", "--once")
    dead = listed(on)
    one = on("outbox", "retry", str(dead[0]["id"]))
    half = [row["state"] for row in listed(on)]
    rest = on("outbox", "retry")
    (folder / "dead").unlink()
    on("worker", "--once")

    assert [(row["state"], row["problem"], row["tries"]) for row in dead] == [("dead", "the line is dead", 1)] * 2
    assert (one.stdout, half, rest.stdout) == ("Tried again: 1\n", ["waiting", "dead"], "Tried again: 1\n")
    assert listed(on) == []


def test_an_unknown_id_is_status_1_and_a_wrong_one_is_wrong_usage(on: Run):
    unknown = on("outbox", "retry", "00000000-0000-0000-0000-000000000001")

    assert unknown.exit_code == 1
    assert "Nothing that was given up has the id 00000000-0000-0000-0000-000000000001." in unknown.stderr
    assert on("outbox", "retry", "x").exit_code == 2
    assert on("outbox", "retry").stdout == "Tried again: 0\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_worker_works_until_it_is_told_to_end(on: Run, folder: Path, number: int):
    fill()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGRA_")},
        **SETTINGS,
        "SIGRA_DATABASE_URL": f"sqlite:///{folder / 'sigra.db'}",
        "SIGRA_APP": "bell_host:auth",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }
    command = [sys.executable, "-c", "from sigra.cli import main; main()", "worker"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        status = process.wait(timeout=60)
    finally:
        process.kill()
        process.communicate()

    assert lines == ["Working; end it by SIGINT (Ctrl+C) or SIGTERM.\n", "sent\n", "sent\n"]
    assert status == 0


def test_the_worker_without_tables_says_what_to_do(run: Run, folder: Path):
    result = run("worker", "--once", SIGRA_DATABASE_URL="sqlite:///empty.db")

    assert result.exit_code == 1
    assert "run `sigra db upgrade`" in result.stderr

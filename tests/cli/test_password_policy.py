"""Passwords given on the command line are under the policy of all others, and leave their event."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from sigra import Sigra
from sigra.plugins.password import Password
from sigra.testing import PASSWORD, cheap_settings
from tests.cli.conftest import Run


@pytest.fixture
def on(run: Run, database: str) -> Run:
    """Run a command on a migrated database with an account."""

    def on(*arguments: str, input: str | None = None, **settings: str) -> Any:
        return run(*arguments, input=input, SIGRA_DATABASE_URL=database, **settings)

    assert on("db", "upgrade").exit_code == 0
    made = on("users", "create", "ada@example.com", "--name", "Ada King", "--password-stdin", input=f"{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    return on


def hash_of(database: str) -> str | None:
    async def read() -> str | None:
        async with Sigra(cheap_settings(database)) as auth, auth.db.connect() as tx:
            return await tx.scalar(select(auth.plugin(Password).table.c.hash))

    return asyncio.run(read())


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("command", "password", "reason"),
    [
        (["create", "eve@example.com"], "short", "password: Use at least 8 characters."),
        (["create", "eve@example.com"], "password1", "among the most common"),
        (["create", "evelyn@example.com"], "evelyn-2026", "Leave out your name"),
        (["create", "eve@example.com", "--name", "Evangeline"], "evangeline", "Leave out your name"),
        (["set-password", "ada@example.com"], "ada-king-12", "Leave out your name"),
        (["set-password", "ada@example.com"], "x" * 512 + "y" * 513, "at most 1024 bytes"),
    ],
)
def test_a_weak_password_is_refused(on: Run, database: str, command: list[str], password: str, reason: str):
    before = hash_of(database)
    result = on("users", *command, "--password-stdin", input=f"{password}\n")

    assert result.exit_code == 1
    assert reason in result.stderr
    assert hash_of(database) == before
    assert len(on("users", "list").stdout.splitlines()) == 2


@pytest.mark.databases("sqlite")
def test_the_preset_holds_here_too(on: Run):
    command = ("users", "set-password", "ada@example.com", "--password-stdin")
    short = on(*command, input="zq8#Lw2vTn5%\n", SIGRA_PASSWORD__PRESET="nist")
    long = on(*command, input="zq8#Lw2vTn5%Rk9\n", SIGRA_PASSWORD__PRESET="nist")

    assert "at least 15 characters" in short.stderr
    assert (short.exit_code, long.exit_code) == (1, 0)

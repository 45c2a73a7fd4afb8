"""`sigra users` and `sigra api-keys`, with what they do to those who are signed in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sigra import Settings, Sigra
from sigra.testing import Client, cheap_settings, make_user
from tests.apps import application
from tests.cli.conftest import SETTINGS, Run

PASSWORD = "correct horse battery staple"


@pytest.fixture
def on(run: Run, database: str) -> Run:
    """Run a command on a migrated database."""

    def on(*arguments: str, input: str | None = None) -> Any:
        return run(*arguments, input=input, SIGRA_DATABASE_URL=database)

    assert on("db", "upgrade").exit_code == 0
    return on


@pytest.fixture
def ada(on: Run) -> Run:
    """The same, with an account."""
    created = on("users", "create", "ada@example.com", "--name", "Ada", "--password-stdin", input=f"{PASSWORD}\n")
    assert created.exit_code == 0, created.output
    return on


def serve(database: str, story: Callable[[Client], Awaitable[Any]]) -> Any:
    """Tell a story to an application with the settings of the command line."""
    settings = Settings(
        secret_keys=[SETTINGS["SIGRA_SECRET_KEYS"]],
        base_url=SETTINGS["SIGRA_BASE_URL"],
        development=True,
        password={"memory_kib": 8, "time": 1},
        database_url=database,
        worker=False,
    )

    async def told() -> Any:
        async with Sigra(settings) as auth, Client(auth.wrap(application), auth) as client:
            return await story(client)

    return asyncio.run(told())


async def sign_in(client: Client, password: str = PASSWORD) -> int:
    body = {"email": "ada@example.com", "password": password}
    return (await client.post("/auth/login", json=body)).status_code


def test_a_created_account_can_sign_in_and_counts_as_verified(ada: Run, database: str):
    async def story(client: Client) -> dict[str, Any]:
        assert await sign_in(client) == 200
        return (await client.get("/auth/session")).json()["user"]

    user = serve(database, story)

    assert (user["email"], user["email_verified"], user["name"]) == ("ada@example.com", True, "Ada")


@pytest.mark.databases("sqlite")
def test_a_prompt_asks_for_the_password_twice(on: Run):
    result = on("users", "create", "ada@example.com", input=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0
    assert PASSWORD not in result.output


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        ("ada@example.com", PASSWORD, "has an account already"),
        ("ADA@EXAMPLE.COM", PASSWORD, "has an account already"),
        ("no address", PASSWORD, "email: This is not an e-mail address."),
        ("eve@example.com", "short", "at least 8 characters"),
    ],
)
def test_an_account_that_cannot_be_is_refused(ada: Run, email: str, password: str, reason: str):
    result = ada("users", "create", email, "--password-stdin", input=f"{password}\n")

    assert result.exit_code == 1
    assert reason in result.stderr
    assert len(ada("users", "list").stdout.splitlines()) == 2


@pytest.mark.databases("sqlite")
def test_accounts_are_listed_with_their_status(ada: Run):
    ada("users", "create", "eve@example.com", "--password-stdin", input=f"{PASSWORD}\n")
    ada("users", "disable", "eve@example.com")

    lines = [line.split()[1:] for line in ada("users", "list").stdout.splitlines()]

    assert lines == [["EMAIL", "STATUS"], ["ada@example.com", "active"], ["eve@example.com", "disabled"]]


@pytest.mark.databases("sqlite")
def test_a_listed_name_cannot_speak_to_the_terminal(on: Run, database: str):
    async def attack() -> None:
        async with Sigra(cheap_settings(database)) as auth:
            await make_user(auth, "eve@example.com")
            update = "UPDATE sigra_users SET email = 'eve\x1b[2J\n@example.com'"
            await auth.db.transaction(lambda tx: tx.exec_driver_sql(update))

    asyncio.run(attack())

    assert "eve?[2J?@example.com" in on("users", "list").stdout


def test_hc8_a_disabled_account_loses_its_session_and_its_keys(ada: Run, database: str):
    key = ada("api-keys", "create", "ada@example.com", "--name", "ci").stdout.strip()

    async def story(client: Client) -> list[int]:
        await sign_in(client)
        before = (await client.get("/private")).status_code
        await asyncio.to_thread(ada, "users", "disable", "Ada@Example.com")
        after = [(await client.get("/private")).status_code, await sign_in(client)]
        bearer = {"authorization": f"Bearer {key}"}
        return [before, *after, (await client.get("/private", headers=bearer)).status_code]

    assert serve(database, story) == [200, 401, 401, 401]


def test_hc8_what_was_ended_stays_ended_when_an_account_is_enabled(ada: Run, database: str):
    key = ada("api-keys", "create", "ada@example.com", "--name", "ci").stdout.strip()

    async def story(client: Client) -> list[int]:
        await sign_in(client)
        await asyncio.to_thread(ada, "users", "disable", "ada@example.com")
        await asyncio.to_thread(ada, "users", "enable", "ada@example.com")
        by_session = (await client.get("/private")).status_code
        by_key = (await client.get("/private", headers={"authorization": f"Bearer {key}"})).status_code
        return [by_session, by_key, await sign_in(client)]

    assert serve(database, story) == [401, 401, 200]


@pytest.mark.databases("sqlite")
def test_disabling_twice_and_enabling_an_active_account_are_no_errors(ada: Run):
    statuses = [ada("users", command, "ada@example.com").exit_code for command in ("enable", "disable", "disable")]

    assert statuses == [0, 0, 0]


@pytest.mark.databases("sqlite")
def test_an_account_that_is_being_closed_is_not_enabled(ada: Run, database: str):
    async def close() -> None:
        async with Sigra(cheap_settings(database)) as auth:
            user = await auth.users.by_email("ada@example.com")
            await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, "closing"))

    asyncio.run(close())

    result = ada("users", "enable", "ada@example.com")

    assert result.exit_code == 1
    assert "is being closed" in result.stderr


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("command", ["disable", "enable", "set-password"])
@pytest.mark.parametrize("email", ["nobody@example.com", "no address"])
def test_an_absent_account_is_status_1(ada: Run, command: str, email: str):
    result = ada("users", command, email)

    assert result.exit_code == 1
    assert result.stderr == f"Error: There is no account of {email}.\n"


def test_a_new_password_ends_sessions_and_leaves_keys(ada: Run, database: str):
    key = ada("api-keys", "create", "ada@example.com", "--name", "ci").stdout.strip()
    new = "another horse battery staple"

    async def story(client: Client) -> list[int]:
        await sign_in(client)
        change = ("users", "set-password", "ada@example.com", "--password-stdin")
        await asyncio.to_thread(ada, *change, input=f"{new}\n")
        by_session = (await client.get("/private")).status_code
        by_key = (await client.get("/private", headers={"authorization": f"Bearer {key}"})).status_code
        return [by_session, by_key, await sign_in(client), await sign_in(client, new)]

    assert serve(database, story) == [401, 200, 401, 200]


@pytest.mark.databases("sqlite")
def test_a_key_is_printed_alone_and_carries_its_scopes(ada: Run, database: str):
    create = ("api-keys", "create", "ada@example.com", "--name", "ci", "--scope", "reports:read", "--scope", "x")
    key = ada(*create).stdout

    async def story(client: Client) -> int:
        return (await client.get("/reports", headers={"authorization": f"Bearer {key.strip()}"})).status_code

    assert key.startswith("sigra_sk_")
    assert key.count("\n") == 1
    assert serve(database, story) == 200


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("nobody@example.com", "--name", "ci"), 1),
        (("ada@example.com",), 2),
        (("ada@example.com", "--name", "ci", "--scope", "A B"), 2),
    ],
    ids=["an absent account", "no name", "a bad scope"],
)
def test_a_key_that_cannot_be_is_refused(ada: Run, arguments: tuple[str, ...], status: int):
    result = ada("api-keys", "create", *arguments)

    assert result.exit_code == status
    assert "sigra_sk_" not in result.output

"""`sigra api-keys list` and `revoke`."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import click
import pytest
from sqlalchemy import update

from sigra import Sigra, hookimpl
from sigra.cli.host import Host
from sigra.cli.shell import Shell
from sigra.plugins.api_keys import APIKeyRevoked, APIKeys
from sigra.testing import Client, cheap_settings, make_api_key, make_user
from tests.cli.conftest import Run
from tests.cli.test_users import serve

ADA, EVE = "ada@example.com", "eve@example.com"


@pytest.fixture
def on(run: Run, database: str) -> Run:
    """Run a command on a migrated database with two accounts."""

    def on(*arguments: str) -> Any:
        return run("api-keys", *arguments, SIGRA_DATABASE_URL=database)

    async def prepare() -> None:
        async with Sigra(cheap_settings(database)) as auth:
            await make_user(auth, ADA)
            await make_user(auth, EVE)

    assert run("db", "upgrade", SIGRA_DATABASE_URL=database).exit_code == 0
    asyncio.run(prepare())
    return on


def create(on: Run, email: str = ADA, name: str = "ci", *scopes: str) -> str:
    given = [word for scope in scopes for word in ("--scope", scope)]
    return on("create", email, "--name", name, *given).stdout.strip()


def listed(on: Run, email: str = ADA) -> list[dict[str, Any]]:
    return json.loads(on("list", email, "--json").stdout)["api_keys"]


def test_keys_are_listed_without_being_shown(on: Run):
    key = create(on, ADA, "ci", "reports:read", "a")

    [found] = listed(on)
    line = on("list", ADA).stdout

    assert (found["name"], found["scopes"], found["last_four"]) == ("ci", ["a", "reports:read"], key[-4:])
    assert line.startswith(f"{found['id']}  sigra_sk_...{key[-4:]}  ci  (a,reports:read; created ")
    assert line.endswith(", expires never, used never)\n")
    assert key not in line + json.dumps(found)


@pytest.mark.databases("sqlite")
def test_an_account_without_keys_has_an_empty_list(on: Run):
    create(on, EVE)

    assert (on("list", ADA).stdout, on("list", ADA).exit_code, listed(on)) == ("", 0, [])


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "arguments", [("list",), ("revoke", str(uuid.UUID(int=0)))], ids=lambda arguments: arguments[0]
)
def test_an_absent_account_is_status_1(on: Run, arguments: tuple[str, ...]):
    command, *more = arguments

    result = on(command, "nobody@example.com", *more)

    assert (result.exit_code, result.stderr) == (1, "Error: There is no account of nobody@example.com.\n")


def test_a_revoked_key_is_gone_and_the_others_stay(on: Run):
    create(on, ADA, "old")
    create(on, ADA, "new")
    old = next(one["id"] for one in listed(on) if one["name"] == "old")

    result = on("revoke", ADA, old)

    assert (result.exit_code, result.stdout) == (0, f"Revoked {old}.\n")
    assert [one["name"] for one in listed(on)] == ["new"]


def test_a_revoked_key_lets_nobody_in(on: Run, database: str):
    bearer = {"authorization": f"Bearer {create(on)}"}

    async def story(client: Client) -> list[int]:
        before = (await client.get("/private", headers=bearer)).status_code
        [key] = await asyncio.to_thread(listed, on)
        await asyncio.to_thread(on, "revoke", ADA, key["id"])
        return [before, (await client.get("/private", headers=bearer)).status_code]

    assert serve(database, story) == [200, 401]


def test_a_key_of_another_account_is_not_revoked(on: Run):
    create(on, EVE)
    foreign = listed(on, EVE)[0]["id"]

    result = on("revoke", ADA, foreign)

    assert (result.exit_code, result.stderr) == (1, f"Error: {ADA} has no key {foreign}.\n")
    assert len(listed(on, EVE)) == 1


@pytest.mark.databases("sqlite")
def test_a_key_is_revoked_once(on: Run):
    create(on)
    key_id = listed(on)[0]["id"]

    assert [on("revoke", ADA, key_id).exit_code for _ in range(2)] == [0, 1]


@pytest.mark.databases("sqlite")
def test_an_id_that_is_none_is_wrong_usage(on: Run):
    result = on("revoke", ADA, "42")

    assert result.exit_code == 2
    assert "'42' is not a valid UUID" in result.stderr


@pytest.mark.databases("sqlite")
def test_a_listed_name_cannot_speak_to_the_terminal(on: Run, database: str):
    create(on)

    async def attack() -> None:
        async with Sigra(cheap_settings(database)) as auth:
            change = update(auth.plugin(APIKeys).table).values(name="\x1b[2J\nci")
            await auth.db.transaction(lambda tx: tx.execute(change))

    asyncio.run(attack())

    assert "  ?[2J?ci  " in on("list", ADA).stdout


class Recorder:
    """Keeps the events that are recorded."""

    name = "recorder"
    api = 1

    def __init__(self) -> None:
        self.events: list[Any] = []

    @hookimpl
    async def record_event(self, event: Any) -> None:
        self.events.append(event)


@pytest.mark.databases("sqlite")
def test_a_revocation_is_an_event_of_the_account(on: Run, database: str):
    recorder = Recorder()
    host = Host()
    host.auth = Sigra(cheap_settings(database), ["defaults", recorder])

    async def prepare() -> tuple[uuid.UUID, uuid.UUID]:
        async with host.auth as auth:
            user = await auth.users.by_email(ADA)
            assert user is not None
            await make_api_key(auth, user)
            async with auth.db.connect() as tx:
                row = (await tx.execute(auth.plugin(APIKeys).table.select())).one()
        return user.id, row.id

    user_id, key_id = asyncio.run(prepare())
    shell = Shell()
    group = shell.get_command(click.Context(shell, obj=host), "api-keys")
    assert group is not None
    group.main(["revoke", ADA, str(key_id)], obj=host, standalone_mode=False)

    revoked = [one for one in recorder.events if isinstance(one, APIKeyRevoked)]
    assert [(one.user_id, one.metadata) for one in revoked] == [(user_id, {"key_id": str(key_id)})]

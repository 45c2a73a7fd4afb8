"""`sigra users require-second-factor` and `remove-factors`: what an administrator says of one user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
from starlette.applications import Starlette

from sigra import Settings, Sigra
from sigra.testing import Client, FrozenClock
from tests.cli.conftest import SETTINGS, Run

PASSWORD = "correct horse battery staple"
ADA = "ada@example.com"


@pytest.fixture
def on(run: Run, database: str) -> Run:
    """Run a command on an installation with authenticator apps and an account."""

    def on(*arguments: str, input: str | None = None, **more: str) -> Any:
        return run(*arguments, input=input, SIGRA_DATABASE_URL=database, SIGRA_PLUGINS="defaults,totp", **more)

    assert on("db", "upgrade").exit_code == 0
    assert on("users", "create", ADA, "--password-stdin", input=f"{PASSWORD}\n").exit_code == 0
    return on


@pytest.fixture
def client(database: str) -> Callable[[], Any]:
    """A client of an application with the settings of the command line."""

    def client() -> Client:
        settings = Settings(
            secret_keys=[SETTINGS["SIGRA_SECRET_KEYS"]],
            base_url=SETTINGS["SIGRA_BASE_URL"],
            development=True,
            database_url=database,
            password={"memory_kib": 8, "time": 1},
        )
        auth = Sigra(settings, ["defaults", "totp"], clock=FrozenClock())
        return Client(auth.wrap(Starlette()), auth)

    return client


async def sign_in(client: Client) -> int:
    return (await client.post("/auth/login", json={"email": ADA, "password": PASSWORD})).status_code


@pytest.fixture
def ada(on: Run, client: Any) -> Run:
    """The same; the account has an app."""

    async def enroll() -> None:
        one = client()
        async with one, one.sigra:
            assert await sign_in(one) == 200
            begun = await one.post("/auth/totp/enroll", json={})
            code = pyotp.TOTP(begun.json()["secret"]).at(one.sigra.clock())
            assert (await one.post("/auth/totp/confirm", json={"code": code})).status_code == 200

    asyncio.run(enroll())
    return on


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), f"{ADA} must have a second factor.\n"),
        (("--always",), f"{ADA} must have a second factor, and no browser is spared it.\n"),
        (("--lift",), f"{ADA} is chosen no longer.\n"),
    ],
)
def test_it_says_what_holds(on: Run, options: tuple[str, ...], said: str) -> None:
    once, twice = (on("users", "require-second-factor", ADA, *options) for _ in range(2))

    assert (once.exit_code, once.stdout) == (twice.exit_code, twice.stdout) == (0, said)


@pytest.mark.databases("sqlite")
def test_a_lift_says_that_the_demand_of_everybody_holds(on: Run) -> None:
    lifted = on("users", "require-second-factor", ADA, "--lift", SIGRA_SECOND_FACTOR__DEMAND="always")

    assert lifted.stdout == f"{ADA} is chosen no longer; SIGRA_SECOND_FACTOR__DEMAND is always for everybody.\n"


def test_who_is_chosen_is_asked_from_the_next_sign_in_on_until_it_is_lifted(on: Run, client: Any) -> None:
    async def status() -> int:
        one = client()
        async with one, one.sigra:
            return await sign_in(one)

    before = asyncio.run(status())
    on("users", "require-second-factor", ADA)
    on("users", "require-second-factor", ADA, "--always")
    chosen = asyncio.run(status())
    on("users", "require-second-factor", ADA, "--lift")
    lifted = asyncio.run(status())

    assert (before, chosen, lifted) == (200, 202, 200)


@pytest.mark.databases("sqlite")
def test_two_words_that_contradict_are_a_wrong_use(on: Run) -> None:
    assert on("users", "require-second-factor", ADA, "--always", "--lift").exit_code == 2


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("command", ["require-second-factor", "remove-factors"])
def test_an_account_that_is_not_there_is_named(on: Run, command: str) -> None:
    refused = on("users", command, "nobody@example.com")

    assert (refused.exit_code, refused.stderr) == (1, "Error: There is no account of nobody@example.com.\n")


@pytest.mark.databases("sqlite")
def test_who_has_none_loses_none(on: Run) -> None:
    refused = on("users", "remove-factors", ADA)

    assert (refused.exit_code, refused.stderr) == (1, f"Error: {ADA} has no second factor.\n")


@pytest.mark.databases("sqlite")
def test_how_long_a_removal_waits_is_an_option(ada: Run) -> None:
    said = ada("users", "remove-factors", ADA, SIGRA_SECOND_FACTOR__REMOVAL_WAIT="P7D")
    at = datetime.strptime(said.stdout.partition(" removed at ")[2][:16], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)

    assert timedelta(days=6) < at - datetime.now(UTC) < timedelta(days=8)


@pytest.mark.databases("sqlite")
def test_hc16_a_removal_waits_and_the_mail_goes_at_once(ada: Run, client: Any) -> None:
    said = ada("users", "remove-factors", ADA)
    mails = ada("outbox", "list")

    async def status() -> int:
        one = client()
        async with one, one.sigra:
            return await sign_in(one)

    assert said.exit_code == 0
    assert said.stdout.startswith(f"The second factors of {ADA} will be removed at ")
    assert "factors_removal_requested" in mails.stdout
    assert asyncio.run(status()) == 202


def test_whoever_was_made_sure_of_need_not_wait(ada: Run, client: Any) -> None:
    done = ada("users", "remove-factors", ADA, "--now")
    again = ada("users", "remove-factors", ADA, "--now")
    mails = ada("outbox", "list")

    async def status() -> int:
        one = client()
        async with one, one.sigra:
            return await sign_in(one)

    assert (done.exit_code, done.stdout) == (0, f"Removed the second factors of {ADA}; all sessions ended.\n")
    assert again.exit_code == 1
    assert "factors_removed" in mails.stdout
    assert asyncio.run(status()) == 200

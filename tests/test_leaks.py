"""A whole life of an account, told to everybody who listens: no log, event, row or `repr` has a secret in it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from starlette.requests import Request

from sigra import Auth, Route, hookimpl
from sigra.testing import PASSWORD, Client, make_user
from tests.apps import running
from tests.policies import Factor, Recorder

NEW = "a train of thought leaves at nine"
WRONG = "not the password at all"


class Reporter:
    """Does what an error report does: writes down what is there when something fails."""

    name, api = "reporter", 1

    def __init__(self) -> None:
        self.written: list[str] = []

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        async def show(request: Request) -> Any:
            scope = request.scope
            self.written.append(
                repr([scope["sigra.user"], scope["sigra.identity"], auth.settings, scope["sigra.auth"]])
            )
            raise RuntimeError("a bug")

        return [Route("/report", show)]


async def live(client: Client) -> set[str]:
    """Sign up for everything there is and leave again; the secrets that were seen on the way."""
    user = await make_user(client.sigra)
    await client.sign_in(user, WRONG)
    challenged = await client.sign_in(user)
    secrets = {PASSWORD, NEW, WRONG, challenged.json()["login_token"], *client.cookies.values()}
    await client.post("/auth/login/factor", json={"code": "wrong"})
    await client.post("/auth/login/factor", json={"code": "right"})
    secrets.update(client.cookies.values())
    made = await client.post("/auth/api-keys", json={"name": "ci", "scopes": []})
    secrets.add(made.json()["key"])
    await client.post("/auth/reauthenticate", json={"password": WRONG})
    await client.post("/auth/reauthenticate", data={"password": WRONG})
    await client.post("/auth/reauthenticate", data={"password": PASSWORD})
    secrets.update(client.cookies.values())
    again = await client.post("/auth/reauthenticate", json={"password": PASSWORD})
    secrets.add(again.json()["login_token"])
    await client.post("/auth/login/factor", json={"code": "right"})
    secrets.update(client.cookies.values())
    await client.post("/auth/password/change", json={"current_password": PASSWORD, "new_password": "short"})
    await client.post("/auth/password/change", json={"current_password": PASSWORD, "new_password": NEW})
    secrets.update(client.cookies.values())
    assert (await client.get("/auth/report")).status_code == 500
    bearer = {"authorization": f"Bearer {made.json()['key']}x"}
    await client.get("/private", headers=bearer)
    await client.sign_out()
    return secrets


async def rows(auth: Any) -> str:
    """Every value of every table, as text."""
    async with auth.db.connect() as tx:
        found = [(await tx.execute(select(table))).all() for table in auth.metadata.sorted_tables]
    return repr(found)


async def test_hc21_no_log_event_or_row_has_a_secret(database: str, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("sigra", "sqlalchemy"):
        caplog.set_level(logging.DEBUG, name)
    recorder, reporter = Recorder(), Reporter()
    async with running(database, ["defaults", Factor(), recorder, reporter]) as client:
        secrets = await live(client)
        stored = await rows(client.sigra)
        told = repr([(event, event.metadata) for event in recorder.recorded]) + repr(recorder.attempts)

    assert len(secrets) == 11
    assert "session.renewed" in recorder.names
    for secret in secrets:
        for place in (caplog.text, told, stored, *reporter.written):
            assert secret not in place


async def test_hc21_no_address_has_a_secret() -> None:
    addresses: list[str] = []

    async def note(response: httpx2.Response) -> None:
        addresses.extend((str(response.request.url), response.headers.get("location", "")))

    async with running("sqlite:///:memory:", ["defaults", Factor(), Reporter()]) as client:
        client.event_hooks = {"response": [note]}
        secrets = await live(client)

    assert "/auth/login/challenge" in addresses
    for secret in secrets:
        assert not [address for address in addresses if secret in address]


async def test_hc21_an_error_of_the_database_names_no_value(database: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    async with running(database) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)

    assert "INSERT INTO sigra_sessions" in caplog.text
    assert "ada@example.com" not in caplog.text
    assert "$argon2id$" not in caplog.text

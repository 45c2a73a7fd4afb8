"""A worker that dies between any two statements of a sign-in leaves all of it or nothing (hard case 46)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from sigra import Sigra
from sigra.testing import PASSWORD, Client, cheap_settings, create_tables, make_user
from tests import mortal
from tests.apps import application


async def rows(auth: Sigra) -> dict[str, Any]:
    """How many there are of what must go together."""
    tables = auth.metadata.tables
    sessions, ledger = tables["sigra_sessions"], tables["sigra_ledger"]
    async with auth.db.connect() as tx:
        told = await tx.scalar(select(func.count()).select_from(ledger).where(ledger.c.name == "sign_in.succeeded"))
        return {
            "sessions": await tx.scalar(select(func.count()).select_from(sessions)),
            "events": told,
            "pending": await tx.scalar(select(func.count()).select_from(tables["sigra_pending_sign_ins"])),
        }


async def kill_at_every_statement(url: str) -> list[int | None]:
    """A fresh pending sign-in for each statement, until a worker lives through its sign-in."""
    outcomes: list[int | None] = []
    async with (
        mortal.Mortals() as mortals,
        Sigra(cheap_settings(url), mortal.PLUGINS) as auth,
        Client(auth.wrap(application), auth) as client,
    ):
        while not outcomes or outcomes[-1] is None:
            before = await rows(auth)
            body = {"email": "ada@example.com", "password": PASSWORD}
            token = (await client.post("/auth/login", json=body)).json()["login_token"]
            client.cookies.clear()
            outcomes.append(await mortals.killed_at(url, token, len(outcomes) + 1))
            after = await rows(auth)
            again = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})
            client.cookies.clear()
            last = await rows(auth)

            spent = before["pending"] == after["pending"]
            assert after["sessions"] == after["events"]
            assert after["sessions"] - before["sessions"] == int(spent)
            assert again.status_code == (401 if spent else 200)
            assert last["sessions"] == last["events"] == before["sessions"] + 1
    return outcomes


@pytest.fixture
async def filled(database: str) -> str:
    async with Sigra(cheap_settings(database), mortal.PLUGINS) as auth:
        await create_tables(auth)
        await make_user(auth)
    return database


async def test_hc46_a_worker_killed_at_any_statement_leaves_all_or_nothing(filled: str) -> None:
    outcomes = await kill_at_every_statement(filled)

    assert outcomes[-1] == 200
    assert len(outcomes) > 8


@pytest.mark.soak
async def test_hc46_many_kills_leave_all_or_nothing(filled: str) -> None:
    kills = 0
    while kills < 70:
        kills += sum(outcome is None for outcome in await kill_at_every_statement(filled))

    assert kills >= 70

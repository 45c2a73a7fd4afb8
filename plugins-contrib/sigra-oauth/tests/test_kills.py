"""A worker that dies between any two statements of a callback leaves no half account, and no second use of its code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from sigra.testing import Client, FrozenClock, make_user
from tests.apps import running
from tests.oauth import mortal
from tests.oauth.dancing import answered, configured, dance, outcome, start
from tests.oauth.hostile import Hostile
from tests.oauth.racers import sent, written

Prepare = Callable[[Client, Hostile, int], Awaitable[dict[str, Any]]]


async def facts(client: Client) -> Counter[str]:
    """How many there are of what must go together."""
    tables = client.sigra.metadata.tables
    async with client.sigra.db.connect() as tx:
        names = Counter(await tx.scalars(select(tables["sigra_ledger"].c.name)))
        found = {
            name: await tx.scalar(select(func.count()).select_from(tables[f"sigra_{name}"])) or 0
            for name in ("users", "sessions", "oauth_identities", "oauth_grants", "oauth_attempts")
        }
    return names + Counter(found)


async def halves(client: Client) -> list[str]:
    """Accounts and identities without the other, and accounts of whom nobody has proven the address."""
    tables = client.sigra.metadata.tables
    users, identities = tables["sigra_users"], tables["sigra_oauth_identities"]
    joined = users.outerjoin(identities, identities.c.user_id == users.c.id)
    half = identities.c.id.is_(None) | users.c.email_verified_at.is_(None)
    async with client.sigra.db.connect() as tx:
        return list(await tx.scalars(select(users.c.email).select_from(joined).where(half)))


async def new(client: Client, provider: Hostile, number: int) -> dict[str, Any]:
    """The callback of somebody who was never here."""
    provider.person = {"sub": f"sub-{number}", "email": f"user{number}@example.com", "email_verified": True}
    callback = written(await answered(await start(client)), client)
    client.cookies.clear()
    return callback


async def unproven(client: Client, provider: Hostile, number: int) -> dict[str, Any]:
    """The callback of the owner of an address that somebody else has signed up with."""
    await make_user(client.sigra, f"user{number}@example.com", email_verified=False)
    return await new(client, provider, number)


async def known(client: Client, provider: Hostile, number: int) -> dict[str, Any]:
    """The callback of somebody who has an account."""
    await new(client, provider, number)
    assert outcome(await dance(client)) == "accepted"
    client.cookies.clear()
    return await new(client, provider, number)


async def linking(client: Client, provider: Hostile, number: int) -> dict[str, Any]:
    """The callback of somebody who is signed in and links another account of the provider."""
    await known(client, provider, number)
    assert outcome(await dance(client)) == "accepted"
    provider.person = {"sub": f"sub-{number}-2", "email": f"other{number}@example.com", "email_verified": True}
    callback = written(await answered(await start(client, intent="link")), client)
    client.cookies.clear()
    return callback


async def kill_at_every_statement(
    database: str, clock: FrozenClock, provider: Hostile, prepare: Prepare
) -> list[int | None]:
    """A fresh callback for each statement, until a worker lives through one."""
    outcomes: list[int | None] = []
    options = configured(provider)
    async with (
        mortal.Mortals() as mortals,
        running(database, mortal.plugins(), clock=clock, oauth=options) as client,
    ):
        while not outcomes or outcomes[-1] is None:
            callback = await prepare(client, provider, len(outcomes))
            outcomes.append(await mortals.killed_at(database, options, callback, len(outcomes) + 1))
            once = provider.calls["token"]
            left, found = await halves(client), await facts(client)
            again = await sent(Client(client.app, client.sigra), callback)
            twice = provider.calls["token"] - once
            # Whoever was cut off begins again, and gets in.
            assert outcome(await dance(client)) == "accepted"
            client.cookies.clear()

            assert [email for email in left if prepare is not unproven or f"{len(outcomes) - 1}@" not in email] == []
            # Either nothing had happened, and the callback is good, or its code is not exchanged a second time.
            assert (again < 400, twice) in ((True, 1), (False, 0))
            assert found["sessions"] == found["sign_in.succeeded"]
            assert found["oauth_identities"] == found["authenticator.added"]
            assert await halves(client) == []
    return outcomes


@pytest.mark.databases("sqlite")
async def test_hc46_a_worker_killed_at_any_statement_of_a_sign_up_leaves_no_half_account(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    outcomes = await kill_at_every_statement(database, clock, provider, new)

    assert outcomes[-1] == 200
    assert len(outcomes) > 8


@pytest.mark.soak
@pytest.mark.parametrize("prepare", [new, unproven, known, linking], ids=lambda prepare: prepare.__name__)
async def test_hc46_a_worker_killed_at_any_statement_of_a_callback_leaves_all_or_nothing(
    database: str, clock: FrozenClock, provider: Hostile, prepare: Prepare
) -> None:
    outcomes = await kill_at_every_statement(database, clock, provider, prepare)

    assert outcomes[-1] in (200, 204)
    assert len(outcomes) > 8

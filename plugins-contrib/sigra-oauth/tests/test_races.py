"""Many come back from a provider at the same instant, to two processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.util import await_only

from sigra.testing import Client, FrozenClock, make_user
from tests.apps import running
from tests.oauth.dancing import answered, configured, counted, start
from tests.oauth.hostile import Hostile
from tests.oauth.racers import Racers, sent, written

PLUGINS = ["defaults", "oauth"]
ONE = {"sigra_users": 1, "sigra_sessions": 1, "sigra_oauth_identities": 1}


@asynccontextmanager
async def racing(database: str, clock: FrozenClock, options: dict[str, Any]) -> AsyncIterator[tuple[Client, Racers]]:
    async with running(database, PLUGINS, clock=clock, oauth=options) as client, Racers(database, options) as racers:
        yield client, racers


async def rows(client: Client, table: str, *columns: str) -> list[tuple[Any, ...]]:
    found = client.sigra.metadata.tables[table]
    async with client.sigra.db.connect() as tx:
        return [tuple(row) for row in await tx.execute(select(*(found.c[name] for name in columns)))]


async def begun(client: Client, **body: Any) -> dict[str, Any]:
    """A callback that waits to be sent, of a browser of its own."""
    async with Client(client.app, client.sigra, cookies=client.cookies.jar) as browser:
        return written(await answered(await start(browser, **body)), browser)


async def test_hc14_of_64_callbacks_of_one_code_at_once_one_has_an_effect(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    options = configured(provider)
    async with (
        running(database, PLUGINS, clock=clock, oauth=options) as client,
        Racers(database, options) as racers,
    ):
        statuses = await racers.race([await begun(client)] * 64)
        counts, attempts = await counted(client), await rows(client, "sigra_oauth_attempts", "id")

    assert Counter(statuses) == {200: 1, 400: 63}
    assert (counts, attempts) == (ONE, [])
    # A code that comes twice is a stolen one, and a good provider then ends what it gave for the first.
    assert provider.calls["token"] == 1


async def test_hc14_of_64_callbacks_of_one_code_for_a_known_account_one_signs_in(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    options = configured(provider)
    async with (
        running(database, PLUGINS, clock=clock, oauth=options) as client,
        Racers(database, options) as racers,
    ):
        first = await racers.race([await begun(client)])
        statuses = await racers.race([await begun(client)] * 64)
        counts = await counted(client)

    assert first == [200]
    assert Counter(statuses) == {200: 1, 400: 63}
    assert counts == {**ONE, "sigra_sessions": 2}


async def test_hc28_of_many_tabs_at_once_all_sign_in_and_one_account_is_made(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    options = configured(provider)
    async with (
        running(database, PLUGINS, clock=clock, oauth=options) as client,
        Racers(database, options) as racers,
    ):
        statuses = await racers.race([await begun(client) for _ in range(32)])
        counts, attempts = await counted(client), await rows(client, "sigra_oauth_attempts", "id")

    assert Counter(statuses) == {200: 32}
    assert counts == {**ONE, "sigra_sessions": 32}
    assert attempts == []


async def test_hc04_an_identity_that_two_accounts_link_at_once_is_one_accounts(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    options = configured(provider)
    async with (
        running(database, PLUGINS, clock=clock, oauth=options) as client,
        Racers(database, options) as racers,
    ):
        callbacks = []
        for name in ("grace", "joan"):
            client.cookies.clear()
            await client.sign_in(await make_user(client.sigra, f"{name}@example.com"))
            callbacks.append(await begun(client, intent="link"))
        statuses = await racers.race(callbacks)
        identities = await rows(client, "sigra_oauth_identities", "subject")

    assert sorted(status < 300 for status in statuses) == [False, True]
    assert max(statuses) == 409
    assert identities == [("sub-ada",)]


def before(client: Client, words: str, deed: Callable[[], Awaitable[Any]]) -> None:
    """Have something done to its end right before the first statement that holds these words."""
    engine, waiting = client.sigra.db._engine.sync_engine, [deed]

    def look(*told: Any) -> None:
        if words in told[2] and waiting:
            await_only(waiting.pop()())

    event.listen(engine, "before_cursor_execute", look)


async def test_hc28_a_tab_that_finds_the_account_which_another_tab_has_just_made_signs_in(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        first, second = [await begun(client) for _ in range(2)]
        tabs = [Client(client.app, client.sigra) for _ in range(2)]
        statuses: list[int] = []

        async def other_tab() -> None:
            statuses.append(await sent(tabs[1], second))

        before(client, "sigra_users.email_canonical =", other_tab)
        statuses.append(await sent(tabs[0], first))
        counts, attempts = await counted(client), await rows(client, "sigra_oauth_attempts", "id")

    assert statuses == [200, 200]
    assert (counts, attempts) == ({**ONE, "sigra_sessions": 2}, [])

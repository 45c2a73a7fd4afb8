"""Tokens that end here end at their provider, later, as often as it takes, and without being told to anybody else."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from sigra import User, hookspecs
from sigra.plugins.password import Password
from sigra.testing import Client, FrozenClock
from sigra_oauth import OAuth
from sigra_oauth.providers import OpenID
from tests.apps import running
from tests.oauth.changes import without
from tests.oauth.dancing import configured, dance
from tests.oauth.fault import SOUND, Fault
from tests.oauth.hostile import Hostile

PLUGINS = ["defaults", "oauth"]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def down(provider: Hostile, request: Any) -> Response:
    return Response(status_code=503)


DOWN = Fault("cannot revoke now", instead={"revoke": down})


@asynccontextmanager
async def signed_in(database: str, clock: FrozenClock, provider: Hostile) -> AsyncIterator[Client]:
    """An application whose one user came from the provider, and has a password, too."""
    oauth = configured(provider, keep_tokens=True)
    async with running(database, PLUGINS, clock=clock, oauth=oauth) as client:
        assert (await dance(client)).status_code == 200
        auth, user = client.sigra, await ada(client)
        hash = await auth.hasher.hash("a password of hers")
        await auth.db.transaction(lambda tx: auth.plugin(Password).set(auth, tx, user, hash))
        yield client


async def ada(client: Client) -> User:
    user = await client.sigra.users.by_email("ada@example.com")
    assert user is not None
    return user


async def end(client: Client) -> None:
    """Its tokens end; nothing is revoked yet."""
    auth, plugin, user = client.sigra, client.sigra.plugin(OAuth), await ada(client)
    await auth.db.transaction(partial(plugin.tokens.end_all, auth, user=user))


async def unlink(client: Client) -> None:
    [identity] = (await client.get("/auth/identities")).json()["identities"]
    assert (await client.delete(f"/auth/identities/{identity['id']}")).status_code == 204


async def waiting(client: Client) -> int:
    async with client.sigra.db.connect() as tx:
        table = client.sigra.metadata.tables["sigra_oauth_revocations"]
        return await tx.scalar(select(func.count()).select_from(table)) or 0


async def work(client: Client, clock: FrozenClock) -> None:
    """A minute goes by: the job is due, whenever it was done last."""
    clock.tick(MINUTE)
    await client.sigra.worker.work()


def kinds(provider: Hostile) -> Counter[str | None]:
    return Counter(kind for _, kind in provider.revoked)


BOTH = Counter({"refresh_token": 1, "access_token": 1})


async def test_what_is_unlinked_is_revoked_at_once(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with signed_in(database, clock, provider) as client:
        granted = set(provider.people)
        await unlink(client)
        await client.sigra._background.drain()
        left = await waiting(client)

    assert kinds(provider) == BOTH
    assert {token for token, _ in provider.revoked} == granted
    assert left == 0


async def test_an_account_that_is_deleted_takes_its_tokens_along(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        closed = await client.post("/auth/account/delete")
        for _ in range(2):
            clock.tick(timedelta(days=15))
            await client.sigra.worker.work()
        gone = await client.sigra.users.by_email("ada@example.com")

    assert (closed.status_code, gone) == (202, None)
    assert kinds(provider) == Counter({"refresh_token": 1})


async def test_hc01_what_was_set_before_an_address_was_proven_is_revoked(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        user = await ada(client)
        await client.sigra.db.transaction(lambda tx: client.sigra.seam.forget(tx, user, "first_proof"))
        await work(client, clock)

    assert kinds(provider) == BOTH


async def test_what_is_granted_anew_by_the_proof_of_an_address_is_not_revoked(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """With the older tokens, some providers would end all that their user has granted."""
    provider.person |= {"email_verified": False}
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider, keep_tokens=True)) as client:
        unproven = await dance(Client(client.app, client.sigra))
        provider.person |= {"email_verified": True}
        proven = await dance(client)
        await work(client, clock)

    assert (unproven.status_code, proven.status_code, provider.revoked) == (202, 200, [])


async def test_what_is_replaced_is_not_revoked(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with signed_in(database, clock, provider) as client:
        await dance(client)
        left = await waiting(client)

    assert left == 0


async def test_an_access_token_that_has_expired_is_left_alone(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        clock.tick(HOUR)
        await end(client)
        await work(client, clock)

    assert kinds(provider) == Counter({"refresh_token": 1})


async def test_hc46_nothing_is_revoked_of_what_did_not_end(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        auth, plugin, user = client.sigra, client.sigra.plugin(OAuth), await ada(client)

        async def fails(tx: AsyncConnection) -> None:
            await plugin.tokens.end_all(auth, tx, user)
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await auth.db.transaction(fails)
        await work(client, clock)
        got = await plugin.access_token(user, "hostile")

    assert provider.revoked == []
    assert got in provider.people


async def test_hc14_several_workers_revoke_each_token_once(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        await end(client)
        plugin = client.sigra.plugin(OAuth)
        runs = [plugin.tokens.revocations.run(client.sigra, plugin.providers) for _ in range(8)]
        await asyncio.gather(*runs)
        left = await waiting(client)

    assert kinds(provider) == BOTH
    assert left == 0


class Stuck(OpenID):
    """One that does as it is told, and never says so."""

    def __init__(self, client: Client) -> None:
        usual = client.sigra.plugin(OAuth).providers["hostile"]
        assert isinstance(usual, OpenID)
        super().__init__(usual.registration, usual.outbound, usual.clock)
        self.done = asyncio.Semaphore(0)

    async def revoke(self, token: str, kind: Literal["access_token", "refresh_token"]) -> None:
        await super().revoke(token, kind)
        self.done.release()
        await asyncio.Event().wait()


async def test_hc46_what_a_killed_worker_had_taken_up_is_done_by_the_next(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        await end(client)
        stuck, plugin = Stuck(client), client.sigra.plugin(OAuth)
        killed = asyncio.create_task(plugin.tokens.revocations.run(client.sigra, {"hostile": stuck}))
        for _ in range(2):
            await stuck.done.acquire()
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        first = kinds(provider)
        await plugin.tokens.revocations.run(client.sigra, plugin.providers)
        meanwhile = kinds(provider)
        await work(client, clock)
        left = await waiting(client)

    assert first == meanwhile == BOTH
    assert kinds(provider) == BOTH + BOTH
    assert left == 0


async def test_hc45_a_provider_that_is_down_is_asked_for_a_day(
    database: str, clock: FrozenClock, provider: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    async with signed_in(database, clock, provider) as client:
        tokens = set(provider.people)
        provider.fault = DOWN
        await end(client)
        tries = []
        for minute in range(24 * 60 + 1):
            before = provider.calls["revoke"]
            plugin = client.sigra.plugin(OAuth)
            if minute % 10 == 0 or minute < 10:
                await plugin.tokens.revocations.run(client.sigra, plugin.providers)
            if provider.calls["revoke"] > before:
                tries.append(minute)
            clock.tick(MINUTE)
        left = await waiting(client)

    assert tries[:4] == [0, 1, 3, 7]
    assert all(later - earlier <= 70 for earlier, later in pairwise(tries))
    assert tries[-1] > 22 * 60
    assert left == 0
    said = [record.getMessage() for record in caplog.records if record.name == "sigra.oauth"]
    assert sum("given up" in one for one in said) == 2
    assert not any(token in one for one in said for token in tokens)


async def test_a_provider_that_is_back_is_told(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with signed_in(database, clock, provider) as client:
        provider.fault = DOWN
        await end(client)
        await work(client, clock)
        provider.fault = SOUND
        await work(client, clock)
        left = await waiting(client)

    assert kinds(provider) == BOTH
    assert left == 0


async def test_a_provider_that_is_configured_no_more_is_let_be(
    database: str, clock: FrozenClock, provider: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    async with signed_in(database, clock, provider) as client:
        await end(client)
        plugin = client.sigra.plugin(OAuth)
        with caplog.at_level(logging.WARNING, "sigra.oauth"):
            await plugin.tokens.revocations.run(client.sigra, {})
        left = await waiting(client)

    assert left == 0
    assert provider.revoked == []
    assert "configured no more" in caplog.text


async def test_a_provider_without_a_place_for_it_is_let_be(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    provider.fault = Fault("revokes nothing", discovery=without("revocation_endpoint"))
    async with signed_in(database, clock, provider) as client:
        await end(client)
        await work(client, clock)
        left = await waiting(client)

    assert left == 0
    assert provider.calls["revoke"] == 0


async def test_hc22_a_token_in_the_place_of_another_is_sent_to_nobody(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        await end(client)
        table = client.sigra.metadata.tables["sigra_oauth_revocations"]
        async with client.sigra.db.connect() as tx:
            one, other = (await tx.execute(select(table.c.id, table.c.token))).all()

        async def swap(tx: AsyncConnection) -> None:
            for id, token in ((one.id, other.token), (other.id, one.token)):
                await tx.execute(update(table).where(table.c.id == id).values(token=token))

        await client.sigra.db.transaction(swap)
        await work(client, clock)
        left = await waiting(client)

    assert provider.revoked == []
    assert left == 2


async def test_tokens_under_a_key_that_is_gone_keep_nobody_from_unlinking(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        table = client.sigra.metadata.tables["sigra_oauth_tokens"]
        await client.sigra.db.transaction(lambda tx: tx.execute(update(table).values(access_token=b"no seal")))
        await unlink(client)
        left = await waiting(client)

    assert left == 0


async def test_hc24_tokens_of_a_restored_backup_end(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with signed_in(database, clock, provider) as client:
        plugin = client.sigra.plugin(OAuth)
        ending = partial(client.sigra.each, hookspecs.end_restored, passwords=False)
        await client.sigra.db.transaction(lambda tx: ending(tx=tx))
        async with client.sigra.db.connect() as tx:
            left = [
                await tx.scalar(select(func.count()).select_from(table))
                for table in (plugin.tokens.table, plugin.grants.table)
            ]

    assert left == [0, 0]

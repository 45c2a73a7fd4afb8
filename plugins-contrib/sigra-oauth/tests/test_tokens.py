"""The provider's tokens for the application: refreshed once, whoever asks, and lost when the provider says so."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, func, select, update
from starlette.types import Receive, Scope, Send

from sigra import SigraError
from sigra.testing import Client, FrozenClock, make_user
from sigra_oauth import OAuth, access
from sigra_oauth.errors import GrantLost, OAuthFailed, OAuthUnavailable
from sigra_oauth.provider import Tokens
from sigra_oauth.providers import OpenID
from tests.apps import running
from tests.oauth.changes import put, without
from tests.oauth.dancing import configured, dance
from tests.oauth.fault import SOUND, Fault
from tests.oauth.hostile import Hostile
from tests.test_failing_database import Cable

RACERS, ROOT = Path(__file__).with_name("token_racers.py"), Path(__file__).parents[3]
PLUGINS = ["defaults", "oauth"]
HOUR = timedelta(hours=1)


@asynccontextmanager
async def signed_in(database: str, clock: FrozenClock, provider: Hostile, **options: Any) -> AsyncIterator[Client]:
    """An application whose one user came from the provider, an hour ago: the token has expired."""
    oauth = configured(provider, keep_tokens=True, **options)
    async with running(database, PLUGINS, clock=clock, oauth=oauth, sessions={"idle": 2 * HOUR}) as client:
        assert (await dance(client)).status_code == 200
        clock.tick(HOUR)
        yield client


async def token(client: Client, **more: Any) -> str:
    auth = client.sigra
    user = await auth.users.by_email("ada@example.com")
    assert user is not None
    return await auth.plugin(OAuth).access_token(user, "hostile", **more)


async def outcome(client: Client) -> str:
    """The token, or the name of an error."""
    try:
        return await token(client)
    except SigraError as error:
        return type(error).__name__


async def kept(client: Client) -> int:
    table = client.sigra.metadata.tables["sigra_oauth_tokens"]
    async with client.sigra.db.connect() as tx:
        return await tx.scalar(select(func.count()).select_from(table)) or 0


class Gated(OpenID):
    """One that answers a refresh when it is let."""

    def __init__(self, client: Client) -> None:
        plugin = client.sigra.plugin(OAuth)
        usual = plugin.providers["hostile"]
        assert isinstance(usual, OpenID)
        super().__init__(usual.registration, usual.outbound, usual.clock)
        self.reached, self.gate = asyncio.Event(), asyncio.Event()
        plugin.providers["hostile"] = self

    async def refresh(self, tokens: Tokens) -> Tokens:
        new = await super().refresh(tokens)
        self.reached.set()
        await self.gate.wait()
        return new


async def test_a_token_is_the_granted_one_until_a_minute_before_its_end(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        clock.tick(-HOUR)
        first = await token(client)
        clock.tick(timedelta(seconds=3539))
        same = await token(client)
        clock.tick()
        other = await token(client)

    assert first == same
    assert first != other
    assert provider.people[other]["sub"] == "sub-ada"
    assert provider.calls["token"] == 2


@pytest.mark.parametrize("how", ["rotate", "keep"])
async def test_the_refresh_token_that_holds_is_the_newest_that_came(
    database: str, clock: FrozenClock, provider: Hostile, how: str
) -> None:
    provider.refreshed = how
    async with signed_in(database, clock, provider) as client:
        seen = set()
        for _ in range(3):
            seen.add(await token(client))
            clock.tick(HOUR)

    assert len(seen) == 3
    assert len(provider.refresh_tokens) == (1 if how == "rotate" else 4)


async def test_hc27_fifty_at_once_in_two_processes_refresh_once_and_all_get_the_token(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    oauth = json.dumps(configured(provider, keep_tokens=True))
    async with signed_in(database, clock, provider) as client:
        command = (sys.executable, str(RACERS), database, oauth, clock().isoformat(), "25")
        pipe = asyncio.subprocess.PIPE
        racers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(2)]
        for racer in racers:
            assert racer.stdout is not None
            await racer.stdout.readline()
        before = provider.calls["token"]
        said = await asyncio.gather(*(racer.communicate(b"\n") for racer in racers))
        got = sum((Counter(json.loads(out)) for out, _ in said), Counter())
        mine = await outcome(client)

    assert provider.calls["token"] == before + 1
    assert got == {mine: 50}


async def test_hc27_who_goes_away_does_not_take_the_new_token_along(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        gated = Gated(client)
        waiting = asyncio.create_task(token(client))
        await gated.reached.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        others = [asyncio.create_task(outcome(client)) for _ in range(3)]
        gated.gate.set()
        got = await asyncio.gather(*others)

    assert waiting.cancelled()
    assert len(set(got)) == 1
    assert got[0] in provider.people
    assert provider.calls["token"] == 2


async def test_hc46_the_lease_of_a_worker_that_was_killed_ends(
    database: str, clock: FrozenClock, provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "PATIENCE", 0.0)
    async with signed_in(database, clock, provider) as client:
        table = client.sigra.metadata.tables["sigra_oauth_tokens"]
        until = clock() + timedelta(seconds=15)
        await client.sigra.db.transaction(lambda tx: tx.execute(update(table).values(leased_until=until)))
        during = await outcome(client)
        clock.tick(timedelta(seconds=15))
        after = await outcome(client)

    assert during == "OAuthUnavailable"
    assert after in provider.people
    assert provider.calls["token"] == 2


async def test_hc45_a_refresh_that_is_cut_off_anywhere_loses_no_grant(
    database: str, clock: FrozenClock, provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "PATIENCE", 0.0)
    cable = Cable()
    async with signed_in(database, clock, provider) as client:
        cable.lay(client, monkeypatch)
        await outcome(client)
        length, seen = len(cable.told), []
        for late in (False, True):
            for at in range(length):
                clock.tick(HOUR)
                cable.cut(at, late=late)
                seen.append(await outcome(client))
                cable.mend()
                clock.tick(timedelta(seconds=15))
                assert await outcome(client) in provider.people

    assert length > 5
    assert set(seen) - {"Unavailable"} <= set(provider.people)
    assert len(provider.refresh_tokens) == 1


# What the provider says


async def test_a_grant_that_the_provider_has_ended_is_lost(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    provider.refreshed = "refuse"
    async with signed_in(database, clock, provider) as client:
        for _ in range(2):
            with pytest.raises(GrantLost):
                await token(client)
        lost = await kept(client)
        asked = provider.calls["token"]
        await dance(client)
        await token(client)

    assert (lost, asked) == (0, 2)


async def test_an_application_that_lets_a_lost_grant_pass_answers_it_as_a_problem(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async def calendar(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["sigra.auth"].plugin(OAuth).access_token(scope["sigra.user"], "hostile")

    provider.refreshed = "refuse"
    oauth = configured(provider, keep_tokens=True)
    lives = {"idle": 2 * HOUR}
    async with running(database, PLUGINS, app=calendar, clock=clock, oauth=oauth, sessions=lives) as client:
        await dance(client)
        clock.tick(HOUR)
        answer = await client.get("/calendar")

    assert (answer.status_code, answer.json()["code"]) == (409, "oauth_grant_lost")


async def test_hc30_an_answer_that_cannot_be_trusted_ends_nothing(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        provider.fault = Fault("tokens of another type", token=put(token_type="mac"))
        with pytest.raises(OAuthFailed):
            await token(client)
        left = await kept(client)

    assert left == 1


async def test_hc45_a_provider_that_is_down_is_asked_again_at_once(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    provider.refreshed = "fail"
    async with signed_in(database, clock, provider) as client:
        with pytest.raises(OAuthUnavailable):
            await token(client)
        provider.refreshed = "rotate"
        got = await token(client)

    assert got in provider.people


async def test_a_token_that_is_said_to_have_no_end_is_given_out_as_it_is(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    provider.fault = Fault("no end", token=without("expires_in"))
    async with signed_in(database, clock, provider) as client:
        clock.tick(timedelta(days=90))
        got = await token(client)

    assert got in provider.people
    assert provider.calls["token"] == 1


async def test_without_a_refresh_token_it_is_good_to_its_end(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    provider.fault = Fault("no refresh token", token=without("refresh_token"))
    async with signed_in(database, clock, provider) as client:
        clock.tick(-timedelta(seconds=1))
        got = await token(client)
        clock.tick()
        with pytest.raises(GrantLost):
            await token(client)

    assert got in provider.people
    assert provider.calls["token"] == 1


async def test_a_refresh_token_that_came_once_outlives_later_sign_ins(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        provider.fault = Fault("no refresh token", token=without("refresh_token", "scope"))
        await dance(client)
        provider.fault = SOUND
        clock.tick(HOUR)
        got = await token(client)

    assert got in provider.people
    assert provider.calls["token"] == 3


# Whose


@pytest.mark.parametrize("status", ["disabled", "closing"])
async def test_hc08_nothing_is_given_out_of_an_account_that_is_not_active(
    database: str, clock: FrozenClock, provider: Hostile, status: Any
) -> None:
    async with signed_in(database, clock, provider) as client:
        auth = client.sigra
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, status))
        with pytest.raises(GrantLost):
            await auth.plugin(OAuth).access_token(user, "hostile")

    assert provider.calls["token"] == 1


async def test_hc08_nothing_is_given_out_when_the_account_is_disabled_meanwhile(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        gated, auth = Gated(client), client.sigra
        waiting = asyncio.create_task(token(client))
        await gated.reached.wait()
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, "disabled"))
        gated.gate.set()
        with pytest.raises(GrantLost):
            await waiting


async def test_nobody_else_gets_it(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with signed_in(database, clock, provider) as client:
        eve, plugin = await make_user(client.sigra, "eve@example.com"), client.sigra.plugin(OAuth)
        async with client.sigra.db.connect() as tx:
            ada = await client.sigra.users.by_email("ada@example.com", tx)
            assert ada is not None
            [identity] = await plugin.identities.of(tx, ada)
        for more in ({}, {"identity": identity.id}):
            with pytest.raises(GrantLost):
                await plugin.access_token(eve, "hostile", **more)


async def test_of_several_accounts_there_the_one_used_last_is_meant(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        await dance(client, intent="reauthenticate")
        clock.tick()
        provider.person = {**provider.person, "sub": "sub-second"}
        linked = await dance(client, intent="link")
        identities = (await client.get("/auth/identities")).json()["identities"]
        second = provider.people[await token(client)]["sub"]
        auth = client.sigra
        async with auth.db.connect() as tx:
            user = await auth.users.by_email("ada@example.com", tx)
            assert user is not None
            first = (await auth.plugin(OAuth).identities.of(tx, user))[0]
        named = provider.people[await token(client, identity=first.id)]["sub"]

    assert (linked.status_code, len(identities)) == (204, 2)
    assert (second, named) == ("sub-second", "sub-ada")


async def test_only_what_was_asked_for_is_kept(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        nothing = await kept(client)
        for name in ("hostile", "unknown"):
            user = await client.sigra.users.by_email("ada@example.com")
            assert user is not None
            with pytest.raises(LookupError, match="keep_tokens"):
                await client.sigra.plugin(OAuth).access_token(user, name)

    assert nothing == 0


# Beside other things


async def test_hc27_a_sign_in_meanwhile_is_not_overwritten(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        gated = Gated(client)
        waiting = asyncio.create_task(token(client))
        await gated.reached.wait()
        known = set(provider.people)
        await dance(client)
        gated.gate.set()
        got = await waiting

    assert got not in known


async def test_hc08_what_is_refreshed_for_an_account_that_is_unlinked_meanwhile_is_revoked(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with signed_in(database, clock, provider) as client:
        gated, auth = Gated(client), client.sigra
        await auth.db.transaction(lambda tx: make_password(client, tx))
        waiting = asyncio.create_task(token(client))
        await gated.reached.wait()
        [identity] = (await client.get("/auth/identities")).json()["identities"]
        await dance(client, intent="reauthenticate")
        unlinked = await client.delete(f"/auth/identities/{identity['id']}")
        gated.gate.set()
        with pytest.raises(GrantLost):
            await waiting
        clock.tick(timedelta(minutes=1))
        await auth.worker.work()

    assert unlinked.status_code == 204
    assert not provider.refresh_tokens


async def make_password(client: Client, tx: Any) -> None:
    from sigra.plugins.password import Password

    user = await client.sigra.users.by_email("ada@example.com", tx)
    assert user is not None
    await client.sigra.plugin(Password).set(
        client.sigra, tx, user, await client.sigra.hasher.hash("a password of hers")
    )


async def test_hc22_no_token_is_in_the_database(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with signed_in(database, clock, provider) as client:
        secrets = {*provider.people, await token(client)}
        assert len(secrets) >= 3
        async with client.sigra.db.connect() as tx:
            for table in client.sigra.metadata.tables.values():
                for row in (await tx.execute(select(table))).all():
                    for secret in secrets:
                        assert secret not in repr(tuple(row)), table.name
        columns = client.sigra.metadata.tables["sigra_oauth_tokens"].columns

    assert isinstance(columns["access_token"].type.impl, LargeBinary)

"""Sign-outs that begin at the provider: exactly the sessions that came of it end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from sigra import Attempt, hookimpl
from sigra.testing import PASSWORD, Client, FrozenClock, make_user
from sigra_oauth import OAuth
from tests.apps import Postbox, running
from tests.oauth import hostile
from tests.oauth.cases import mails
from tests.oauth.dancing import answered, come_back, configured, dance, start
from tests.oauth.hostile import Hostile
from tests.oauth.logouts import LOGOUTS
from tests.policies import Factor, Recorder
from tests.test_failing_database import Cable

PLUGINS = ["defaults", "oauth"]
PATH = "/auth/oauth/hostile/backchannel-logout"
EVE = {"sub": "sub-eve", "email": "eve@example.com", "email_verified": True}


async def tell(client: Client, token: str) -> httpx2.Response:
    """What the provider's server is answered."""
    async with Client(client.app, client.sigra, raises=False) as server:
        return await server.post(PATH, data={"logout_token": token}, headers={"origin": "https://provider.example"})


def browser(client: Client) -> Client:
    return Client(client.app, client.sigra)


async def signed_in(client: Client, provider: Hostile, session: str | None, **person: Any) -> Client:
    """A browser that came from the provider, from that session there."""
    provider.session = session
    provider.person |= person
    one = browser(client)
    assert (await dance(one)).status_code == 200
    return one


async def alive(*browsers: Client) -> list[bool]:
    return [(await one.get("/auth/session")).status_code == 200 for one in browsers]


async def rows(client: Client, table: str) -> int:
    async with client.sigra.db.connect() as tx:
        return await tx.scalar(select(func.count()).select_from(client.sigra.metadata.tables[table])) or 0


async def test_hc33_a_sign_out_of_a_session_there_ends_what_came_of_it_alone(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    recorder = Recorder()
    async with running(database, [*PLUGINS, recorder], clock=clock, oauth=configured(provider)) as client:
        first = await signed_in(client, provider, "session-1")
        again = await signed_in(client, provider, "session-1")
        other = await signed_in(client, provider, "session-2")
        token = provider.logout_token(sid="session-1")
        eve = await signed_in(client, provider, "session-3", **EVE)
        local = browser(client)
        await local.sign_in_as(await client.sigra.users.by_email("ada@example.com"))
        answer = await tell(client, token)
        after = await alive(first, again, other, eve, local)
        [event] = [one for one in recorder.recorded if one.name == "oauth.logged_out"]

    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert after == [False, False, True, True, True]
    assert event.metadata["provider"] == "hostile"
    assert len(event.metadata["sessions"]) == 2


async def test_hc33_a_sign_out_of_an_account_there_ends_all_that_came_of_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        first = await signed_in(client, provider, "session-1")
        other = await signed_in(client, provider, None)
        token = provider.logout_token(sid=None)
        eve = await signed_in(client, provider, "session-1", **EVE)
        local = browser(client)
        await local.sign_in_as(await client.sigra.users.by_email("ada@example.com"))
        answer = await tell(client, token)
        after = await alive(first, other, eve, local)

    assert answer.status_code == 200
    assert after == [False, False, True, True]


@pytest.mark.parametrize("named", [{"sub": "sub-eve"}, {"sid": "session-9"}, {"sub": "nobody"}])
async def test_hc33_account_and_session_must_both_be_those_of_the_sign_out(
    database: str, clock: FrozenClock, provider: Hostile, named: dict[str, str]
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        eve = await signed_in(client, provider, "session-2", **EVE)
        ada = await signed_in(client, provider, "session-1", sub="sub-ada", email="ada@example.com")
        answer = await tell(client, provider.logout_token(**named))
        after = await alive(ada, eve)

    assert answer.status_code == 200
    assert after == [True, True]


async def test_hc33_a_provider_ends_no_session_of_another(database: str, clock: FrozenClock, provider: Hostile) -> None:
    with hostile.running(clock, name="hostile2") as second:
        oauth = configured(provider, second)
        async with running(database, PLUGINS, clock=clock, oauth=oauth) as client:
            one = await signed_in(client, provider, "session-1")
            second.person |= EVE
            other = browser(client)
            assert (await dance(other, "hostile2")).status_code == 200
            answer = await tell(client, provider.logout_token(sub=None))
            after = await alive(one, other)

    assert answer.status_code == 200
    assert after == [False, True]


async def test_a_sign_out_that_names_the_session_alone_ends_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        first = await signed_in(client, provider, "session-1")
        other = await signed_in(client, provider, "session-2")
        answer = await tell(client, provider.logout_token(sub=None, sid="session-1"))
        after = await alive(first, other)

    assert answer.status_code == 200
    assert after == [False, True]


async def test_a_session_that_was_proven_again_ends_under_its_new_id(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await signed_in(client, provider, "session-1")
        one = await signed_in(client, provider, "session-1")
        await dance(one, intent="reauthenticate")
        left = await rows(client, "sigra_oauth_grants")
        await tell(client, provider.logout_token())
        after = await alive(one)

    assert left == 2
    assert after == [False]


async def test_a_session_that_goes_on_under_a_new_id_ends_under_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        one = await signed_in(client, provider, "session-1")
        provider.person = {**provider.person, "sub": "sub-other"}
        before = (await one.get("/auth/session")).json()["session"]["id"]
        linked = await dance(one, intent="link")
        after = (await one.get("/auth/session")).json()["session"]["id"]
        await tell(client, provider.logout_token(sub="sub-ada"))
        ended = await alive(one)

    assert linked.status_code == 204
    assert before != after
    assert ended == [False]


# What is on its way


async def test_hc11_a_sign_in_that_waits_for_a_factor_ends_too(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, [*PLUGINS, Factor()], clock=clock, oauth=configured(provider)) as client:
        waiting, other = browser(client), browser(client)
        answers = [await dance(waiting)]
        provider.session = "session-2"
        answers.append(await dance(other))
        told = await tell(client, provider.logout_token(sid="session-1"))
        ended = await waiting.post("/auth/login/factor", json={"code": "right"})
        complete = await other.post("/auth/login/factor", json={"code": "right"})
        after = await alive(waiting, other)

    assert [one.status_code for one in (*answers, told)] == [202, 202, 200]
    assert (ended.status_code, ended.json().get("code")) == (401, "login_expired")
    assert complete.status_code == 200
    assert after == [False, True]


@pytest.mark.parametrize("named", [{}, {"sid": None}, {"sub": None}])
async def test_hc11_an_answer_from_before_the_sign_out_is_worth_nothing_after_it(
    database: str, clock: FrozenClock, provider: Hostile, named: dict[str, None]
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await signed_in(client, provider, "session-1")
        late, anew = browser(client), browser(client)
        callback = await answered(await start(late))
        told = await tell(client, provider.logout_token(**named))
        refused = await come_back(late, callback)
        clock.tick()
        accepted = await dance(anew)
        after = await alive(late, anew)

    assert told.status_code == 200
    assert (refused.status_code, refused.json().get("code")) == (400, "oauth_expired")
    assert accepted.status_code == 200
    assert after == [False, True]


async def test_hc11_an_account_is_not_linked_by_an_answer_that_waited_beyond_the_sign_out(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await make_user(client.sigra)
        waits = await dance(client)
        await tell(client, provider.logout_token())
        proof = await client.post("/auth/oauth/link", json={"password": PASSWORD})
        linked, after = await rows(client, "sigra_oauth_identities"), await alive(client)

    assert waits.status_code == 202
    assert (proof.status_code, proof.json().get("code")) == (400, "oauth_expired")
    assert (linked, after) == (0, [False])


async def test_hc33_of_a_sign_in_and_a_sign_out_at_once_the_sign_out_lasts(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await signed_in(client, provider, "session-0")
        provider.session = "session-1"
        after = []
        for _ in range(8):
            late = browser(client)
            callback = await answered(await start(late))
            await asyncio.gather(come_back(late, callback), tell(client, provider.logout_token()))
            after += await alive(late)

    assert after == [False] * 8


class Together:
    """Has two who type a password go on at one instant, when both have found what it is for."""

    name, api = "together", 1

    def __init__(self) -> None:
        self.both = asyncio.Barrier(2)

    @hookimpl
    async def before_attempt(self, attempt: Attempt) -> None:
        if attempt.method == "password":
            await self.both.wait()


async def test_hc33_of_two_proofs_of_one_answer_the_sign_out_ends_both_sessions(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    plugins = [*PLUGINS, Together()]
    async with running(database, plugins, clock=clock, oauth=configured(provider)) as client:
        await make_user(client.sigra, EVE["email"])
        provider.person |= EVE
        waiting = (await dance(browser(client))).json()["login_token"]
        tabs, proof = [browser(client), browser(client)], {"password": PASSWORD, "login_token": waiting}
        await asyncio.gather(*(tab.post("/auth/oauth/link", json=proof) for tab in tabs))
        before = await alive(*tabs)
        answer = await tell(client, provider.logout_token())
        after = await alive(*tabs)

    assert (before, answer.status_code, after) == ([True, True], 200, [False, False])


async def test_hc11_a_sign_out_is_remembered_as_long_as_a_mail_may_be_waited_for(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    provider.person |= {**EVE, "email_verified": False}
    options = {"oauth": configured(provider), "email_verification": {"lifetime": timedelta(days=7)}}
    async with running(database, ["defaults", "oauth", Postbox()], clock=clock, **options) as client:
        late = browser(client)
        assert (await dance(late)).status_code == 202
        token = (await mails(client)).token()
        clock.tick()
        await tell(client, provider.logout_token())
        clock.tick(timedelta(days=6))
        auth = client.sigra
        await auth.db.transaction(partial(auth.plugin(OAuth).grants.logouts.sweep, auth))
        answer = await late.post("/auth/email/verify", json={"token": token})

    assert answer.status_code == 400


# Once


async def test_hc14_a_logout_token_has_one_effect(database: str, clock: FrozenClock, provider: Hostile) -> None:
    recorder = Recorder()
    async with running(database, [*PLUGINS, recorder], clock=clock, oauth=configured(provider)) as client:
        await signed_in(client, provider, "session-1")
        token = provider.logout_token()
        answers = await asyncio.gather(*(tell(client, token) for _ in range(16)))
        clock.tick()
        anew = await signed_in(client, provider, "session-1")
        replayed = await tell(client, token)
        after = await alive(anew)

    assert sorted(one.status_code for one in answers) == [200] + [400] * 15
    assert recorder.names.count("oauth.logged_out") == 1
    assert (replayed.status_code, after) == (400, [True])


async def test_a_token_is_remembered_as_long_as_it_would_be_taken(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        token = provider.logout_token(exp=provider.now + 7 * 86_400)
        statuses = []
        for _ in range(4):
            statuses.append((await tell(client, token)).status_code)
            clock.tick(timedelta(hours=8))
            await client.sigra.worker.work()
        remembered = await rows(client, "sigra_oauth_logouts")

    assert statuses == [200, 400, 400, 400]
    assert remembered == 0


class Broken:
    """Cannot end a session."""

    name, api, broken = "broken", 1, True

    @hookimpl(trylast=True)
    async def revoke_session(self) -> None:
        if self.broken:
            raise OSError("disk full")


async def test_hc46_a_sign_out_that_fails_has_no_effect_and_can_be_told_again(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    broken = Broken()
    async with running(database, [*PLUGINS, broken], clock=clock, oauth=configured(provider)) as client:
        one = await signed_in(client, provider, "session-1")
        token = provider.logout_token()
        failed = await tell(client, token)
        between = await alive(one)
        broken.broken = False
        answer = await tell(client, token)
        after = await alive(one)

    assert (failed.status_code, between) == (503, [True])
    assert (answer.status_code, after) == (200, [False])


async def test_hc45_a_sign_out_that_is_cut_anywhere_can_be_told_again(
    database: str, clock: FrozenClock, provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable = Cable()
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        one = await signed_in(client, provider, "session-1")
        cable.lay(client, monkeypatch)
        statuses = []
        for at in range(100):
            token = provider.logout_token()
            cable.cut(at)
            statuses.append((await tell(client, token)).status_code)
            cable.mend()
            if statuses[-1] == 200:
                break
            assert await alive(one) == [True]
            assert await rows(client, "sigra_oauth_logouts") == 0
        after = await alive(one)

    assert set(statuses[:-1]) == {503}
    assert len(statuses) > 5
    assert after == [False]


# What is no sign-out


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("name", LOGOUTS)
async def test_hc26_a_logout_token_that_does_not_hold_ends_nothing(
    database: str, clock: FrozenClock, provider: Hostile, name: str
) -> None:
    fault = LOGOUTS[name]
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        one = await signed_in(client, provider, "session-1")
        answer = await tell(client, provider.logout_token(fault))
        after = await alive(one)

    accepted = fault.outcome == "accepted"
    assert (answer.status_code, after) == (200 if accepted else 400, [not accepted])
    if not accepted:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["code"] == "oauth_failed"


async def test_what_is_no_logout_token_is_refused(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        token = provider.logout_token()
        json = await client.post(PATH, json={"logout_token": token})
        empty = await client.post(PATH, data={"other": "x"})
        huge = await tell(client, token + "A" * 16_384)
        twice = await client.post(
            PATH,
            content=f"logout_token={token}&logout_token={token}",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        unknown = await client.post("/auth/oauth/other/backchannel-logout", data={"logout_token": token})
        statuses = [one.status_code for one in (json, empty, huge, twice, unknown)]

    assert statuses == [415, 400, 400, 400, 404]


async def test_hc45_nobody_is_signed_out_by_who_cannot_be_asked_for_keys(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        local = browser(client)
        await local.sign_in_as(await make_user(client.sigra))
        token = provider.logout_token()
        provider.paths = {**provider.paths, "keys": "https://nowhere.invalid/keys"}
        answer = await tell(client, token)
        after = await alive(local)

    assert (answer.status_code, after) == (400, [True])


async def test_many_tokens_at_once_are_too_many(database: str, clock: FrozenClock, provider: Hostile) -> None:
    limits = {"rules": {"oauth_backchannel": "2/minute"}}
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider), limits=limits) as client:
        statuses = [(await tell(client, "no token")).status_code for _ in range(3)]

    assert statuses == [400, 400, 429]


async def test_grants_go_with_what_they_are_about(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        one = await signed_in(client, provider, "session-1")
        other = await signed_in(client, provider, "session-2")
        await one.sign_out()
        first = await rows(client, "sigra_oauth_grants")
        third = await signed_in(client, provider, "session-3")
        await third.delete("/auth/sessions")
        second = await rows(client, "sigra_oauth_grants")
        clock.tick(timedelta(days=32))
        await client.sigra.worker.work()
        left = await rows(client, "sigra_oauth_grants")
        gone = await alive(other)

    assert (first, second, left) == (1, 1, 0)
    assert gone == [False]

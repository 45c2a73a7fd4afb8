"""Passkeys under attack: replayed, moved between purposes, users and browsers, used at once, looked for by name."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from sqlalchemy import event

from sigra import Event, LastAuthenticator, Sigra, hookimpl
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, make_user
from sigra_passkeys import Passkeys
from sigra_passkeys.described import described
from tests.apps import Postbox, running
from tests.passkeys.authenticator import Authenticator
from tests.passkeys.browsing import code_of, options_for, register, use
from tests.plugins.racers import PROCESSES, TRIES, Racers
from tests.policies import Factor, Recorder
from tests.signing_up import browser, mailed, verify

PLUGINS = ["defaults", "passkeys"]
ORIGIN = "http://localhost"


async def signed_up(client: Client, email: str = "ada@example.com", **traits: Any) -> Authenticator:
    """Somebody with a password and a passkey, signed out again."""
    await client.sign_in(await make_user(client.sigra, email))
    one = await register(client, **traits)
    await client.post("/auth/logout")
    return one


async def give(client: Client, credential: Any) -> httpx2.Response:
    return await client.post("/auth/login/passkey", json={"credential": credential})


async def registration(client: Client, one: Authenticator | None = None) -> dict[str, Any]:
    options = await client.post("/auth/passkeys/register/options", json={})
    assert options.status_code == 200
    return (one or Authenticator(origin=ORIGIN)).create(options.json())


async def keep(client: Client, credential: Any) -> httpx2.Response:
    return await client.post("/auth/passkeys/register", json={"credential": credential})


def cookies_of(client: Client) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


# Challenges


async def test_hc15_an_assertion_is_good_once(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await signed_up(client)
        given = one.get(await options_for(client))
        held = cookies_of(client)
        first = await give(client, given)
        again = await browser(client).post("/auth/login/passkey", json={"credential": given}, headers={"cookie": held})

    assert (first.status_code, again.status_code) == (200, 401)


async def test_hc15_a_registration_is_good_once(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        made = await registration(client)
        challenge = client.cookies["sigra-passkey"]
        first = await keep(client, made)
        [own] = (await client.get("/auth/passkeys")).json()["passkeys"]
        await client.delete(f"/auth/passkeys/{own['id']}")
        client.cookies.set("sigra-passkey", challenge, domain="localhost.local", path="/")
        again = await keep(client, made)

    assert (first.status_code, again.status_code) == (201, 401)


async def test_hc15_a_challenge_ends_after_five_minutes(database: str) -> None:
    clock = FrozenClock()
    async with running(database, PLUGINS, clock=clock) as client:
        one = await signed_up(client)
        given = one.get(await options_for(client))
        clock.tick(timedelta(minutes=5))
        late = await give(client, given)

    assert (late.status_code, code_of(late)) == (401, "invalid_credentials")


async def test_hc15_a_challenge_is_of_the_browser_that_asked_for_it(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await signed_up(client)
        given = one.get(await options_for(client))
        elsewhere = await give(browser(client), given)
        other = browser(client)
        await options_for(other)
        crossed = await give(other, given)

    assert (elsewhere.status_code, crossed.status_code) == (401, 401)


async def test_hc18_a_challenge_of_one_purpose_is_none_of_another(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        one = await register(client)
        made = await client.post("/auth/passkeys/register/options", json={})
        options = made.json()
        as_request = {"challenge": options["challenge"], "rpId": "localhost"}
        signed_in_by_it = await give(client, one.get(as_request))
        asked = await options_for(client)
        second = Authenticator(origin=ORIGIN, credential_id=b"another of sixtee")
        as_creation = {**options, "challenge": asked["challenge"]}
        registered_by_it = await keep(client, second.create(as_creation))

    assert (signed_in_by_it.status_code, registered_by_it.status_code) == (401, 401)


async def test_hc15_a_registration_is_of_the_user_who_began_it(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        made = await registration(client)
        await client.post("/auth/logout")
        await client.sign_in(await make_user(client.sigra, "eve@example.com"))
        answer = await keep(client, made)
        own = (await client.get("/auth/passkeys")).json()["passkeys"]

    assert (answer.status_code, own) == (401, [])


async def test_hc11_a_factor_is_of_the_sign_in_that_asked_for_it(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await signed_up(client)
        body = {"email": "ada@example.com", "password": PASSWORD}
        await client.post("/auth/login", json=body)
        given = one.get(await options_for(client))
        await client.post("/auth/login", json=body)
        answer = await give(client, given)

    assert (answer.status_code, code_of(answer)) == (401, "invalid_proof")


async def test_hc15_the_passkey_of_another_user_is_no_factor(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await signed_up(client)
        eve = await signed_up(client, "eve@example.com", credential_id=b"that of eve 1234")
        await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        answer = await give(client, eve.get(await options_for(client)))

    assert (answer.status_code, code_of(answer)) == (401, "invalid_proof")


async def test_hc15_the_user_handle_of_another_is_refused(database: str) -> None:
    async with running(database, PLUGINS) as client:
        ada = await signed_up(client)
        eve = await signed_up(client, "eve@example.com", credential_id=b"that of eve 1234")
        ada.handle, eve.handle = eve.handle, ada.handle
        answers = [await give(client, one.get(await options_for(client))) for one in (ada, eve)]

    assert [answer.status_code for answer in answers] == [401, 401]


async def test_hc15_a_passkey_that_was_found_by_itself_must_say_whose_it_is(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await signed_up(client)
        one.handle = None
        unnamed = await give(client, one.get(await options_for(client)))
        named = await give(client, one.get(await options_for(client, email="ada@example.com")))

    assert (unnamed.status_code, named.status_code) == (401, 200)


async def test_hc15_a_removed_passkey_lets_nobody_in(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        [own] = (await client.get("/auth/passkeys")).json()["passkeys"]
        given = one.get(await options_for(browser(client)))
        await client.delete(f"/auth/passkeys/{own['id']}")
        await client.post("/auth/logout")
        answers = [await give(client, given), await use(client, one)]

    assert [answer.status_code for answer in answers] == [401, 401]


# At once


async def test_hc14_one_assertion_of_64_at_once_signs_in(database: str) -> None:
    async with running(database, PLUGINS) as client, Racers(database, *PLUGINS) as racers:
        one = await signed_up(client)
        given = one.get(await options_for(client))
        statuses = await racers.post("/auth/login/passkey", {"credential": given}, cookie=cookies_of(client))

    assert len(statuses) == PROCESSES * TRIES
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 401, 503}


async def test_hc14_one_factor_of_64_at_once_completes_a_sign_in(database: str) -> None:
    async with running(database, PLUGINS) as client, Racers(database, *PLUGINS) as racers:
        one = await signed_up(client)
        await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        given = one.get(await options_for(client))
        statuses = await racers.post("/auth/login/passkey", {"credential": given}, cookie=cookies_of(client))

    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 401, 503}


async def test_hc15_two_copies_of_a_passkey_cannot_use_one_counter_at_once(database: str) -> None:
    """Two challenges, two assertions of the same count: whichever comes second has not grown."""
    async with running(database, ["defaults", Passkeys(counter="reauthenticate")]) as client:
        one = await signed_up(client)
        first, second = browser(client), browser(client)
        options = [await options_for(first), await options_for(second)]
        given = []
        for its in options:
            one.count = 6
            given.append(one.get(its))
        pairs = zip((first, second), given, strict=True)
        answers = await asyncio.gather(*(give(client, credential) for client, credential in pairs))

    assert sorted(answer.status_code for answer in answers) == [200, 401]


async def test_hc05_of_two_removals_at_once_one_passkey_stays(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await verify(client, await mailed(client, box, password=None))
        await register(client)
        await register(client, credential_id=b"another 16 bytes")
        ids = [uuid.UUID(one["id"]) for one in (await client.get("/auth/passkeys")).json()["passkeys"]]
        auth, plugin = client.sigra, client.sigra.plugin(Passkeys)
        user = await auth.users.by_email("ada@example.com")
        assert user is not None

        async def take(tx: Any, id: uuid.UUID) -> None:
            locked = await auth.users.lock(tx, user.id)
            removed = await plugin.stored.remove(tx, locked, id)
            await auth.authenticators.removed(tx, locked, described(removed))

        ended = await asyncio.gather(*(auth.db.transaction(partial(take, id=id)) for id in ids), return_exceptions=True)
        async with auth.db.connect() as tx:
            left = await plugin.stored.count(tx, user)

    assert [type(one) for one in ended if one is not None] == [LastAuthenticator]
    assert left == 1


async def test_hc05_two_removals_at_once_by_one_user_leave_a_way_in(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await verify(client, await mailed(client, box, password=None))
        passkeys = [await register(client), await register(client, credential_id=b"another 16 bytes")]
        other = browser(client)
        await use(other, passkeys[0])
        ids = [one["id"] for one in (await client.get("/auth/passkeys")).json()["passkeys"]]
        pairs = zip((client, other), ids, strict=True)
        answers = await asyncio.gather(*(remove(one, id) for one, id in pairs))
        ways = [(await use(browser(client), one)).status_code for one in passkeys]

    assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 409])
    assert sorted(ways) == [200, 401]


async def remove(client: Client, id: str) -> httpx2.Response:
    return await client.delete(f"/auth/passkeys/{id}")


async def test_hc05_the_last_way_in_is_not_removed(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await verify(client, await mailed(client, box, password=None))
        await register(client)
        [own] = (await client.get("/auth/passkeys")).json()["passkeys"]
        refused = await remove(client, own["id"])
        await register(client, credential_id=b"another 16 bytes")
        removed = await remove(client, own["id"])

    assert (refused.status_code, code_of(refused)) == (409, "last_authenticator")
    assert removed.status_code == 204


async def test_hc05_a_passkey_that_never_verified_its_user_is_no_way_in(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await verify(client, await mailed(client, box, password=None))
        await register(client)
        [own] = (await client.get("/auth/passkeys")).json()["passkeys"]
        await register(client, verified=False, credential_id=b"another 16 bytes")
        refused = await remove(client, own["id"])

    assert (refused.status_code, code_of(refused)) == (409, "last_authenticator")


# Going round


async def test_hc10_an_unverified_passkey_alone_owes_what_the_account_asks_for(database: str) -> None:
    plugins = ["defaults", Passkeys(user_verification="preferred"), Factor()]
    async with running(database, plugins) as client:
        await client.sign_in_as(await make_user(client.sigra), "pwd", met=frozenset({"mfa"}))
        one = await register(client, verified=False)
        await client.post("/auth/logout")
        answer = await use(client, one)

    assert answer.status_code == 202
    assert not client.signed_in


async def test_hc11_nobody_adds_a_passkey_to_a_sign_in_that_owes_a_factor(database: str) -> None:
    """Whoever has the password would go round the factor by one of their own."""
    async with running(database, [*PLUGINS, Factor()]) as client:
        await make_user(client.sigra)
        waiting = await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        options = await client.post("/auth/passkeys/register/options", json={})
        made = Authenticator(origin=ORIGIN).create(
            {"user": {"id": "x"}, "rp": {"id": "localhost"}, "challenge": "x" * 43}
        )
        kept = await keep(client, made)

    assert (waiting.status_code, options.status_code, kept.status_code) == (202, 401, 401)


async def test_hc01_a_passkey_of_before_the_first_proof_dies(database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box], signup={"require_verified": False}) as client:
        user = await make_user(client.sigra, email_verified=False)
        attacker = browser(client)
        await attacker.sign_in(user)
        one = await register(attacker)
        await client.post("/auth/magic-link", json={"email": "ada@example.com"})
        await client.sigra.worker.work()
        owner = await client.post("/auth/magic-link/verify", json={"token": box.token()})
        left = (await client.get("/auth/passkeys")).json()
        back = await use(browser(client), one)

    assert (owner.status_code, left, back.status_code) == (200, {"passkeys": []}, 401)


async def test_hc32_a_change_of_passkeys_gives_the_session_a_new_id(database: str) -> None:
    async with running(database, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        ids = []
        for change in (None, "register", "remove"):
            if change == "register":
                await register(client)
            if change == "remove":
                [own] = (await client.get("/auth/passkeys")).json()["passkeys"]
                await remove(client, own["id"])
            ids.append((await client.get("/auth/session")).json()["session"]["id"])

    assert len(set(ids)) == 3


async def test_hc33_a_removal_ends_the_other_sessions(database: str) -> None:
    async with running(database, PLUGINS) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        other = browser(client)
        await other.sign_in(user)
        await register(client)
        [own] = (await client.get("/auth/passkeys")).json()["passkeys"]
        await remove(client, own["id"])
        sessions = [await one.get("/auth/session") for one in (client, other)]

    assert [answer.status_code for answer in sessions] == [200, 401]


class Broken:
    """Cannot write down that somebody got an authenticator."""

    name, api = "broken", 1

    @hookimpl
    async def record_event(self, event: Event) -> None:
        if event.name == "authenticator.added":
            raise OSError("disk full")


async def test_hc46_a_passkey_that_cannot_be_recorded_is_not_made(database: str) -> None:
    async with running(database, [*PLUGINS, Broken()]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await keep(client, await registration(client))
        own = (await client.get("/auth/passkeys")).json()

    assert (answer.status_code, own) == (503, {"passkeys": []})


# Looking for accounts


async def test_hc39_options_are_alike_for_every_address(database: str) -> None:
    recorder = Recorder()
    async with running(database, [*PLUGINS, recorder]) as client:
        await signed_up(client, "with@example.com", credential_id=b"w" * 32)
        await make_user(client.sigra, "without@example.com")
        await make_user(client.sigra, "unproven@example.com", email_verified=False)
        disabled = await make_user(client.sigra, "disabled@example.com")
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, disabled, "disabled"))
        addresses = ["with", "without", "unproven", "disabled", "unknown", "other"]
        recorder.recorded.clear()
        seen, sent = {}, []
        statements: list[str] = []
        event.listen(
            client.sigra.db._engine.sync_engine,
            "before_cursor_execute",
            lambda _c, _cu, statement, *_: statements.append(statement),
        )
        for name in addresses:
            statements.clear()
            answer = await client.post("/auth/login/passkey/options", json={"email": f"{name}@example.com"})
            sent.append(tuple(statements))
            seen[name] = (answer.status_code, answer.json())

    assert {status for status, _ in seen.values()} == {200}
    assert {tuple(sorted(body)) for _, body in seen.values()} == {tuple(sorted(seen["with"][1]))}
    assert all(1 <= len(body["allowCredentials"]) <= 2 for _, body in seen.values())
    assert {tuple(sorted(one)) for _, body in seen.values() for one in body["allowCredentials"]} <= {
        ("id", "transports", "type"),
        ("id", "type"),
    }
    assert len(set(sent)) == 1
    assert recorder.recorded == []


async def test_hc39_decoys_are_always_the_same_and_nobody_elses(database: str) -> None:
    async with running(database, PLUGINS) as client:
        spellings = ["nobody@example.com", "NOBODY@example.com", "nobody@EXAMPLE.com", "nobody@example.com"]
        same = [(await options_for(client, email=email))["allowCredentials"] for email in spellings]
        others = [
            (await options_for(client, email=f"{number}@example.com"))["allowCredentials"] for number in range(40)
        ]
        no_address = await options_for(client, email="no address")
        again = await options_for(client, email="no address")
    async with Sigra(cheap_settings(), PLUGINS, clock=FrozenClock()) as auth:
        proving = next(route for route in auth.routes["passkeys"] if route.path == "/login/passkey/options")
        elsewhere = proving.endpoint.__self__._decoys("nobody@example.com")

    assert same[1:] == same[:1] * 3
    assert len({str(one) for one in others}) == 40
    assert {len(one) for one in others} == {1, 2}
    assert len({tuple(one[0].get("transports", ())) for one in others}) == 5
    assert no_address["allowCredentials"] == again["allowCredentials"] != []
    assert len(elsewhere) == len(same[0])


async def test_hc39_a_wrong_answer_tells_nothing(database: str) -> None:
    async with running(database, PLUGINS) as client:
        one = await signed_up(client)
        unknown = Authenticator(origin=ORIGIN, credential_id=b"never registered")
        unknown.handle = one.handle
        wrong = Authenticator(origin=ORIGIN, credential_id=one.credential_id)
        wrong.handle = one.handle
        answers = [await give(client, its.get(await options_for(client))) for its in (unknown, wrong)]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].content == answers[1].content


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"credential": None},
        {"credential": []},
        {"credential": "{"},
        {"credential": "[" * 20_000},
        {"credential": {"id": "x" * 17_000}},
        {"credential": {}, "user_id": "x"},
    ],
    ids=["nothing", "null", "list", "broken", "deep", "long", "more"],
)
async def test_hc43_a_body_that_is_none_is_told_so(database: str, body: dict[str, Any]) -> None:
    async with running(database, PLUGINS) as client:
        await options_for(client)
        answer = await client.post("/auth/login/passkey", json=body)

    assert answer.status_code in (400, 401, 422)
    assert "code" in answer.json()

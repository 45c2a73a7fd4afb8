"""Proof of an address: who holds the mail has the address; only the same person keeps what was set before."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, Event, Refused, Sigra, User, hookimpl
from sigra.plugins.email_verification.shapes import Proof
from sigra.plugins.password import Password
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, make_api_key, make_user
from tests.apps import Postbox, application, running
from tests.plugins.racers import Racers
from tests.policies import Factor, Recorder, Waiver
from tests.signing_up import EMAIL, OTHER, browser, log_in, mailed, rows, seen, sign_up, verify, watched, works
from tests.test_failing_database import Cable, is_unavailable

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}


@pytest.fixture
def box() -> Postbox:
    return Postbox()


def with_box(database: str, box: Any, *more: Any, **options: Any) -> Any:
    return running(database, ["defaults", box, *more], **options)


async def account(client: Client, email: str = EMAIL) -> Any:
    return await client.sigra.users.by_email(email)


async def has_password(client: Client, email: str = EMAIL) -> bool:
    return await client.sigra.plugin(Password).has_one(client.sigra, await account(client, email))


async def by_code(client: Client, code: str, email: str = EMAIL, **more: Any) -> Any:
    return await client.post("/auth/email/verify", json={"email": email, "code": code, **more})


async def again(client: Client, box: Postbox, email: str = EMAIL) -> str:
    """Ask for another mail, and its token."""
    await client.sigra.worker.work()  # what waited before
    assert (await client.post("/auth/email/verify/resend", json={"email": email})).status_code == 202
    await client.sigra.worker.work()
    return box.token()


# The sign-up's own browser


async def test_the_browser_that_signed_up_gets_the_account_that_it_asked_for(database: str, box: Postbox) -> None:
    recorder = Recorder()
    async with with_box(database, box, recorder) as client:
        await sign_up(client, name="Ada")
        await client.sigra.worker.work()
        answer = await verify(client, box.token())
        user = await account(client)

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["set-cookie"].startswith("sigra-signup=; ")
        assert not client.signed_in
        assert (user.email, user.email_verified, user.name) == (EMAIL, True, "Ada")
        assert recorder.names == ["signup.requested", "user.created", "email.verified"]
        assert (await rows(client))["sigra_signups"] == 0
        assert (await log_in(client)).status_code == 200


@pytest.mark.parametrize("spelled", ["{}", "{:.4} {:.4}"])
async def test_the_code_does_what_the_link_does(spelled: str, database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        await mailed(client, box)
        code = box.code()
        typed = code if spelled == "{}" else f"{code[:4]} {code[4:]}"
        answer = await by_code(client, typed, "ADA@example.com")

        assert answer.status_code == 204
        assert await works(client, PASSWORD)


async def test_a_program_shows_by_its_token_that_it_signed_up(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = (await sign_up(client)).json()["signup_token"]
        await client.sigra.worker.work()
        answer = await verify(browser(client), box.token(), signup_token=token)

        assert answer.status_code == 204
        assert await works(client, PASSWORD)


async def test_what_a_challenged_sign_in_got_shows_it_too(box: Postbox) -> None:
    async with with_box(MEMORY, box) as client:
        mail = await mailed(client, box)
        login_token = (await log_in(client)).json()["login_token"]
        await verify(browser(client), mail, login_token=login_token)

        assert await works(client, PASSWORD)


# Another browser


async def test_hc01_who_proves_elsewhere_gets_nothing_that_somebody_else_set(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        attacker, victim = browser(client), browser(client)
        await sign_up(attacker, name="Eve")
        await client.sigra.worker.work()
        answer = await verify(victim, box.token())
        user = await account(client)

        assert answer.status_code == 204
        assert (user.email_verified, user.name) == (True, None)
        assert not await has_password(client)
        assert (await log_in(attacker)).status_code == 401
        assert (await rows(client))["sigra_signups"] == 0


async def test_hc01_the_owners_own_sign_up_wins_whoever_signed_up_before_and_after(database: str, box: Postbox) -> None:
    clock = FrozenClock()
    async with with_box(database, box, clock=clock) as client:
        owner = browser(client)
        for who, password in ((browser(client), PASSWORD), (owner, OTHER), (browser(client), PASSWORD)):
            token = await mailed(who, box, password=password)
            clock.tick()
        await verify(owner, token)

        assert await works(client, OTHER)
        assert not await works(client, PASSWORD)


async def test_hc01_the_password_typed_after_the_link_says_whose_sign_up_counts(database: str, box: Postbox) -> None:
    clock = FrozenClock()
    async with with_box(database, box, clock=clock) as client:
        await mailed(browser(client), box, password=OTHER, name="Ada")
        clock.tick()
        token = await mailed(browser(client), box, name="Eve")
        answer = await verify(client, token, password=OTHER)

        assert answer.status_code == 204
        assert (await account(client)).name == "Ada"
        assert await works(client, OTHER)
        assert not await works(client, PASSWORD)


async def test_a_wrong_password_spends_nothing_and_counts(database: str, box: Postbox) -> None:
    recorder = Recorder()
    async with with_box(database, box, recorder) as client:
        token = await mailed(browser(client), box)
        recorder.attempts.clear()
        wrong = await verify(client, token, password="wrong")
        right = await verify(client, token, password=PASSWORD)

        assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
        assert [attempt.method for attempt in recorder.attempts] == ["email_verification"] * 2
        assert recorder.names.count("sign_in.failed") == 1
        assert right.status_code == 204


async def test_a_password_costs_the_same_however_many_wait(
    database: str, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FrozenClock()
    async with with_box(database, box, clock=clock) as client:
        costs = []
        for count in (1, 2, 5):
            email = f"user{count}@example.com"
            for _ in range(count):
                clock.tick()
                await mailed(browser(client), box, email)
            with watched(client, monkeypatch) as work:
                await verify(client, box.token(), password="wrong")
                costs.append(work.take())

    assert costs[0] == costs[1] == costs[2]
    assert costs[0][1] == ("verify",) * 3


async def test_hc01_a_sign_up_of_another_address_shows_nothing(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        attacker, victim = browser(client), browser(client)
        await mailed(attacker, box)
        await sign_up(victim, "victim@example.com", OTHER)
        token = await again(client, box)
        stolen = (await sign_up(browser(client), "victim@example.com")).json()["signup_token"]
        await verify(client, token, signup_token=stolen)
        await verify(victim, await again(client, box, "victim@example.com"))

        assert not await has_password(client)
        assert await works(client, OTHER, "victim@example.com")


# An account that was there, unproven


async def unproven(client: Client) -> Any:
    user = await make_user(client.sigra, email_verified=False)
    await make_api_key(client.sigra, user)
    return user


async def keys(client: Client, user: Any) -> int:
    from sigra.plugins.api_keys import APIKeys

    async with client.sigra.db.connect() as tx:
        return await client.sigra.plugin(APIKeys).count(client.sigra, tx, user)


async def test_an_address_that_is_not_proven_is_owed_at_every_sign_in(database: str, box: Postbox) -> None:
    async with with_box(database, box, Factor()) as client:
        user = await unproven(client)
        answer, by_other_means = await client.sign_in(user), await client.sign_in_as(user, "hwk")
        await client.sigra.worker.work()
        token, sent = box.token(), len(box.kinds)
        await client.sign_in(user)
        await client.sigra.worker.work()
        page = await client.get("/auth/login/challenge", headers=PAGE)

    owed = [{"kind": "mfa", "methods": ["factor"]}, {"kind": "email_verification", "methods": ["email"]}]
    assert answer.status_code == by_other_means.status_code == 202
    assert sorted(answer.json()["challenges"], key=str) == sorted(owed, key=str)
    assert box.kinds[-1] == "verify_email"
    assert len(box.kinds) == sent  # while one lives, no other is sent
    assert box.token() == token
    assert 'action="/auth/email/verify"' in page.text
    assert 'action="/auth/email/verify/resend"' in page.text


async def test_hc10_no_waiver_lifts_what_an_address_owes(box: Postbox) -> None:
    async with with_box(MEMORY, box, Waiver(("email_verification", "enrollment"))) as client:
        owed = await client.sign_in(await unproven(client))
        token = await mailed(client, box, "new@example.com", None)
        owed_too = await verify(client, token)

    assert (owed.status_code, owed_too.status_code) == (202, 202)
    assert [one["kind"] for one in owed.json()["challenges"]] == ["email_verification"]
    assert [one["kind"] for one in owed_too.json()["challenges"]] == ["enrollment"]


async def test_an_account_without_an_address_owes_none() -> None:
    async with running(MEMORY) as client:
        answer = await client.sign_in_as(await make_user(client.sigra, None), "hwk")

    assert answer.status_code == 200


async def test_without_sign_up_addresses_are_proven_all_the_same(database: str, box: Postbox) -> None:
    async with running(database, ["sessions", "password", "pages", "email_verification", box]) as client:
        user = await make_user(client.sigra, email_verified=False)
        await again(client, box)
        page = await client.get("/auth/email/verify", headers=PAGE)
        owed = await client.sign_in(user)
        proven = await verify(client, box.token())
        signed_in = await client.sign_in(user)

    assert page.status_code == 200
    assert [answer.status_code for answer in (owed, proven, signed_in)] == [202, 204, 200]


@pytest.mark.parametrize("how", ["pending", "password", "login_token"])
async def test_the_same_person_keeps_everything(how: str, database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        user = await unproven(client)
        login_token = (await client.sign_in(user)).json()["login_token"]
        await client.sigra.worker.work()
        if how == "pending":
            answer = await verify(client, box.token())
        elif how == "password":
            answer = await verify(browser(client), box.token(), password=PASSWORD)
        else:
            answer = await verify(browser(client), box.token(), login_token=login_token)

        assert answer.status_code == 204
        assert await works(client, PASSWORD)
        assert await keys(client, user) == 1


@dataclass
class Waits:
    """Waits for the proof of an address, as somebody does who came from elsewhere.

    Args:
        here: Whether it is this browser that waits.
    """

    here: bool = True
    address: str = EMAIL
    asked: list[str] = field(default_factory=list)

    name = "waits"
    api = 1

    @hookimpl
    async def address_to_prove(self, address: str) -> str | None:
        return self.address if address.lower() == self.address.lower() else None

    @hookimpl
    async def account_for_address(self, auth: Auth, tx: AsyncConnection, address: str) -> User | None:
        self.asked.append(address)
        return await auth.users.create(tx, email=address, name="Came from elsewhere") if self.here else None


async def test_who_waits_elsewhere_for_a_proof_gets_a_mail_and_an_account(database: str, box: Postbox) -> None:
    async with with_box(database, box, Waits()) as client:
        token = await again(client, box)
        answer = await verify(client, token)
        user = await client.sigra.users.by_email(EMAIL)
        twice = await verify(client, token)

    assert answer.status_code == 204
    assert user is not None and (user.email_verified, user.name) == (True, "Came from elsewhere")
    assert twice.status_code == 400


async def test_hc20_a_proof_in_another_browser_makes_no_account_and_spends_nothing(database: str, box: Postbox) -> None:
    waits = Waits(here=False)
    async with with_box(database, box, waits) as client:
        token = await again(client, box)
        elsewhere = await verify(client, token)
        user = await client.sigra.users.by_email(EMAIL)
        waits.here = True
        answer = await verify(client, token)

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "invalid_token")
    assert user is None
    assert answer.status_code == 204


async def test_an_account_that_is_there_is_not_made_again(database: str, box: Postbox) -> None:
    waits = Waits()
    async with with_box(database, box, waits) as client:
        user = await unproven(client)
        answer = await verify(browser(client), await again(browser(client), box))
        proven = await client.sigra.users.by_email(EMAIL)

    assert answer.status_code == 204
    assert proven is not None and (proven.id, proven.email_verified) == (user.id, True)
    assert waits.asked == []


async def test_hc01_anybody_else_ends_all_that_was_set(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        user = await unproven(client)
        attacker = browser(client)
        login_token = (await attacker.sign_in(user)).json()["login_token"]
        await client.sigra.worker.work()
        answer = await verify(client, box.token())
        gone_on = await verify(attacker, "A" * 43, login_token=login_token)

        assert answer.status_code == 204
        assert not await has_password(client)
        assert await keys(client, user) == 0
        assert gone_on.status_code == 400
        assert (await attacker.get("/auth/login/challenge")).status_code == 401


async def test_hc01_a_sign_up_of_ones_own_takes_the_place_of_what_somebody_set(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        user = await unproven(client)
        token = await mailed(client, box, password=OTHER)
        await verify(client, token)

        assert await works(client, OTHER)
        assert not await works(client, PASSWORD)
        assert await keys(client, user) == 0


@pytest.mark.parametrize("waits", [False, True])
async def test_hc01_being_somebody_else_shows_nothing(waits: bool, database: str, box: Postbox) -> None:
    async with with_box(database, box, *[Factor()] * waits) as client:
        user = await unproven(client)
        other = await client.sign_in(await make_user(client.sigra, "other@example.com"))
        await verify(client, await again(client, box))

        assert other.status_code == (202 if waits else 200)
        assert not await has_password(client)
        assert await keys(client, user) == 0


async def test_a_proven_account_is_changed_by_no_token(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        user = await unproven(client)
        token = await mailed(client, box, password=OTHER)
        auth = client.sigra
        await auth.db.transaction(lambda tx: auth.prove_email(tx, user, same_person=True))
        first, second = await verify(client, token), await verify(client, token)

        assert (first.status_code, second.status_code) == (204, 400)
        assert await works(client, PASSWORD)
        assert not await works(client, OTHER)
        assert await keys(client, user) == 1


async def test_a_password_that_changed_meanwhile_shows_nobody(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        auth = client.sigra
        user = await unproven(client)
        await client.sign_in(user)
        await auth.worker.work()
        by_email, asked = auth.users.by_email, []

        async def and_then_revoked(address: str, tx: Any = None) -> Any:
            found = await by_email(address, tx)
            if tx is None and not asked:
                asked.append(address)
                await auth.db.transaction(lambda own: auth.revoke(own, user, "changed"))
            return found

        auth.users.by_email = and_then_revoked
        refused = await verify(browser(client), box.token(), password=PASSWORD)
        auth.users.by_email = by_email
        repeated = await verify(browser(client), box.token(), password=PASSWORD)

    assert (refused.status_code, repeated.status_code) == (401, 204)


# What a token is good for


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_hc19_opening_the_link_proves_nothing(method: str, database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(client, box)
        opened = [
            await client.request(method, path, headers=PAGE)
            for path in (f"/auth/email/verify?token={token}", f"/auth/email/verify?email={EMAIL}&code={box.code()}")
        ]

        assert [page.status_code for page in opened] == [200, 200]
        assert await account(client) is None
        assert all(token not in page.text for page in opened)
        assert (await verify(client, token)).status_code == 204


async def test_hc20_the_newest_link_works_alone_and_once(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        old = await mailed(client, box)
        new = await again(client, box)
        answers = [await verify(client, token) for token in (old, new, new)]

    assert [answer.status_code for answer in answers] == [400, 204, 400]
    assert {answer.json()["code"] for answer in (answers[0], answers[2])} == {"invalid_token"}


async def test_hc14_of_many_at_once_one_proves(database: str, box: Postbox) -> None:
    recorder = Recorder()
    async with with_box(database, box, recorder) as client:
        token = await mailed(client, box)
        own = client.cookies["sigra-signup"]
        tries = [verify(browser(client), token, signup_token=own) for _ in range(16)]
        answers = await asyncio.gather(*tries)

        assert sorted(answer.status_code for answer in answers) == [204] + [400] * 15
        assert recorder.names.count("user.created") == 1
        assert await works(client, PASSWORD)


async def test_hc14_of_many_that_may_choose_a_password_at_once_one_does(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(client, box, password=None)
        own = client.cookies["sigra-signup"]
        answers = await asyncio.gather(*(verify(browser(client), token, signup_token=own) for _ in range(8)))
        [winner] = [answer.json()["login_token"] for answer in answers if answer.status_code == 202]
        body = {"new_password": PASSWORD, "login_token": winner}
        chosen = await asyncio.gather(*(browser(client).post("/auth/password/set", json=body) for _ in range(8)))

        assert {answer.status_code for answer in answers} == {202, 400}
        assert [answer.status_code for answer in chosen].count(200) == 1
        assert (await rows(client))["sigra_sessions"] == 1


@pytest.mark.parametrize(("password", "won"), [(PASSWORD, 204), (None, 202)])
async def test_hc14_of_64_uses_at_once_by_two_processes_one_wins(
    password: str | None, won: int, database: str, box: Postbox
) -> None:
    async with with_box(database, box) as client, Racers(database) as racers:
        token = await mailed(client, box, password=password)
        body = {"token": token, "signup_token": client.cookies["sigra-signup"]}
        statuses = await racers.post("/auth/email/verify", body)
        after = await rows(client)

    assert len(statuses) == 64
    assert statuses.count(won) == 1
    assert set(statuses) <= {won, 400, 503}
    assert (after["sigra_users"], after["sigra_signups"], after["sigra_sessions"]) == (1, 0, 0)


async def test_hc18_only_its_own_token_proves_an_address(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        auth = client.sigra
        known = await make_user(auth, "known@example.com")
        for path, email in (("/auth/password/forgot", "known@example.com"), ("/auth/magic-link", "known@example.com")):
            await client.post(path, json={"email": email})
        sign_up_token = (await sign_up(client)).json()["signup_token"]
        await auth.worker.work()
        tokens = {message.kind: message.text.partition("#token=")[2][:43] for message in box.messages}
        foreign = [tokens["reset_password"], tokens["magic_link"], sign_up_token]
        answers = [await verify(client, token) for token in foreign]
        mine = tokens["verify_email"]
        reset = {"token": mine, "new_password": OTHER}
        elsewhere = [
            await client.post("/auth/password/reset", json=reset),
            await client.post("/auth/magic-link/verify", json={"token": mine}),
            await client.post("/auth/email/change/confirm", json={"token": mine}),
            await client.post("/auth/account/delete/cancel", json={"token": mine}),
        ]

        assert [answer.status_code for answer in (*answers, *elsewhere)] == [400] * 7
        assert (await account(client, "known@example.com")).security_version == known.security_version
        assert (await verify(client, mine)).status_code == 204


async def test_hc21_no_secret_is_in_a_log_an_event_or_a_page(
    database: str, box: Postbox, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    caplog.set_level(logging.DEBUG)
    async with with_box(database, box, recorder) as client:
        token = await mailed(client, box)
        own, code = client.cookies["sigra-signup"], box.code()
        page = await client.post("/auth/email/verify", data={"token": "A" * 43})
        await verify(client, token)

    proof = repr(Proof(token=token, code=code, password=PASSWORD, signup_token=own, login_token=own))
    told = [*map(repr, recorder.recorded), *map(repr, recorder.attempts), proof, page.text, *caplog.messages]
    assert not [text for text in told for secret in (token, own, code, PASSWORD) if secret in text]


class Forgetful:
    """Cannot take down that an address was proven."""

    name = "forgetful"
    api = 1

    @hookimpl
    async def record_event(self, event: Event) -> None:
        if event.name == "email.verified":
            raise Refused


async def test_hc46_a_proof_that_is_not_recorded_proves_and_spends_nothing(database: str, box: Postbox) -> None:
    async with with_box(database, box, Forgetful()) as client:
        token = await mailed(client, box)
        refused = [await verify(client, token) for _ in range(2)]

        assert [answer.status_code for answer in refused] == [403, 403]
        assert await account(client) is None
        assert (await rows(client))["sigra_signups"] == 1


async def test_hc23_a_link_lives_on_when_a_key_is_added(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(client, box)
        own = client.cookies["sigra-signup"]
    old = cheap_settings(database).secret_keys[0].get_secret_value()
    for ring, expected in ((["n" * 32], 400), (["n" * 32, old], 204)):
        settings = cheap_settings(database, secret_keys=ring, worker=False)
        async with Sigra(settings, clock=FrozenClock()) as auth, Client(auth.wrap(application), auth) as client:
            answer = await verify(client, token, signup_token=own)
        assert answer.status_code == expected


async def test_a_link_ends_with_its_time(database: str, box: Postbox) -> None:
    clock = FrozenClock()
    async with with_box(database, box, clock=clock, email_verification={"lifetime": 7200}) as client:
        token = await mailed(client, box)
        clock.tick(timedelta(hours=2))
        late = await verify(client, token)
        fresh = await again(client, box)
        clock.tick(timedelta(hours=2) - timedelta(seconds=1))
        in_time = await verify(client, fresh)

    assert (late.status_code, in_time.status_code) == (400, 204)


async def test_a_link_makes_no_account_of_a_sign_up_whose_time_is_over(database: str, box: Postbox) -> None:
    clock = FrozenClock()
    async with with_box(database, box, clock=clock, signup={"lifetime": 3600}) as client:
        token = await mailed(client, box)
        clock.tick(timedelta(hours=1))
        answers = [await verify(client, token), await verify(browser(client), token)]

        assert [answer.status_code for answer in answers] == [400, 400]
        assert await account(client) is None


async def test_hc07_a_link_proves_the_spelling_that_it_went_to(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        attacker = browser(client)
        token = await mailed(attacker, box, "\u0131da@example.com")
        await make_user(client.sigra, "ida@example.com", email_verified=False)
        refused = await verify(attacker, token)
        await sign_up(attacker, "\u0131da@example.com")
        await client.sigra.worker.work()

        assert refused.status_code == 400
        assert not (await account(client, "ida@example.com")).email_verified
        assert box.messages[0].recipient == "\u0131da@example.com"
        assert box.messages[-1].recipient == "ida@example.com"


# Codes


async def test_a_code_may_be_tried_five_times(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(client, box)
        right = box.code()
        wrong = f"{(int(right) + 1) % 10**8:08}"
        answers = [await by_code(client, wrong) for _ in range(5)]
        late, link = await by_code(client, right), await verify(client, token)

    assert {(answer.status_code, answer.json()["code"]) for answer in (*answers, late)} == {(400, "invalid_token")}
    assert link.status_code == 204


async def test_hc39_a_wrong_code_tells_nobody_what_waits(
    database: str, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with with_box(database, box) as client:
        await make_user(client.sigra, "known@example.com")
        await make_user(client.sigra, "unproven@example.com", email_verified=False)
        await mailed(browser(client), box, "waiting@example.com")
        await again(browser(client), box, "unproven@example.com")
        told = []
        with watched(client, monkeypatch) as work:
            for name in ("known", "unproven", "waiting", "unknown"):
                before = await rows(client)
                work.take()
                answer = await by_code(client, "00000000", f"{name}@example.com")
                told.append((seen(answer), work.take(), await rows(client) == before))

    assert told[0][0][0] == 400
    assert all(one == told[0] for one in told)


async def test_a_wrong_code_is_recorded_as_a_wrong_proof(box: Postbox) -> None:
    recorder = Recorder()
    async with with_box(MEMORY, box, recorder) as client:
        await mailed(client, box)
        recorder.attempts.clear()
        await by_code(client, "0")

    assert [(attempt.method, attempt.email) for attempt in recorder.attempts] == [("email_verification", EMAIL)]
    assert recorder.names[-1] == "sign_in.failed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"token": ""},
        {"email": EMAIL},
        {"code": "12345678"},
        {"token": "x" * 513},
        {"email": "x" * 255, "code": "12345678"},
        {"token": ["x"]},
    ],
)
async def test_hc43_a_body_that_proves_nothing_is_refused(body: dict[str, Any]) -> None:
    async with running(MEMORY) as client:
        answer = await client.post("/auth/email/verify", json=body)

    assert answer.status_code == 422


@pytest.mark.parametrize("email", ["nobody", "a@b@c", "\u0000"[:0] + "@"])
async def test_a_code_for_what_is_no_address_is_as_bad_as_any(email: str) -> None:
    async with running(MEMORY) as client:
        answer = await by_code(client, "12345678", email)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_token")


# Another mail


async def test_hc39_a_request_for_another_mail_tells_nobody_who_has_an_account(
    database: str, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with with_box(database, box) as client:
        auth = client.sigra
        await make_user(auth, "known@example.com")
        await make_user(auth, "unproven@example.com", email_verified=False)
        disabled = await make_user(auth, "disabled@example.com", email_verified=False)
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        await sign_up(browser(client), "waiting@example.com")
        await auth.worker.work()
        box.messages.clear()
        told, sent = [], {}
        with watched(client, monkeypatch) as work:
            for name in ("known", "unproven", "disabled", "waiting", "unknown"):
                before = await rows(client)
                work.take()
                answer = await client.post("/auth/email/verify/resend", json={"email": f"{name}@example.com"})
                done, after = work.take(), await rows(client)
                told.append((seen(answer), done, {table: after[table] - before[table] for table in after}))
                await auth.worker.work()
                sent[name] = [message.kind for message in box.messages]
                box.messages.clear()

    assert told[0][0] == (202, told[0][0][1], [], {"status": "sent"})
    assert all(one == told[0] for one in told)
    assert {name for name, kinds in sent.items() if kinds} == {"unproven", "waiting"}


async def test_hc43_another_mail_goes_to_addresses_alone() -> None:
    async with running(MEMORY) as client:
        answers = [
            await client.post("/auth/email/verify/resend", json=body) for body in ({}, {"email": "x"}, {"email": 1})
        ]

    assert [answer.status_code for answer in answers] == [422] * 3


# Without a password yet


async def test_a_sign_up_without_a_password_goes_on_to_choose_one(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        await sign_up(client, password=None, name="Ada", next="/private")
        await client.sigra.worker.work()
        proven = await verify(client, box.token())
        known = await client.get("/auth/session")
        weak = await client.post("/auth/password/set", json={"new_password": "password1"})
        chosen = await client.post("/auth/password/set", json={"new_password": PASSWORD})
        twice = await client.post("/auth/password/set", json={"new_password": OTHER})

        assert proven.status_code == 202
        assert proven.json()["challenges"] == [{"kind": "enrollment", "methods": ["password"]}]
        assert known.status_code == 401
        assert (weak.status_code, weak.json()["errors"][0]["field"]) == (422, "new_password")
        assert chosen.json()["user"]["email_verified"] is True
        assert chosen.json()["user"]["name"] == "Ada"
        assert (await client.get("/auth/session")).json()["identity"]["assurance"] == "aal1"
        assert twice.status_code == 409
        assert await works(client, PASSWORD)


async def test_hc10_where_nothing_can_be_chosen_a_sign_up_ends_with_the_proof(box: Postbox) -> None:
    async with running(MEMORY, ["defaults", "-password", "-password_reset", box]) as client:
        proven = await verify(client, await mailed(client, box, password=None))
        known = await account(client)

        assert (proven.status_code, known.email_verified) == (204, True)
        assert (await client.get("/auth/session")).status_code == 401


async def test_an_address_alone_lets_nobody_in_who_has_not_chosen(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(client, box, password=None)
        await verify(client, token)

        assert not client.signed_in
        assert (await client.get("/auth/session")).status_code == 401
        assert not await has_password(client)
        assert (await rows(client))["sigra_sessions"] == 0


async def test_elsewhere_there_is_nothing_to_choose(box: Postbox) -> None:
    async with with_box(MEMORY, box) as client:
        token = await mailed(browser(client), box, password=None)
        answer = await verify(client, token)

    assert answer.status_code == 204
    assert "sigra-login" not in client.cookies


async def test_where_no_passwords_are_there_is_nothing_to_choose(box: Postbox) -> None:
    async with running(MEMORY, ["sessions", "email_verification", "signup", box]) as client:
        token = await mailed(client, box, password=None)
        answer = await verify(client, token)

        assert answer.status_code == 204
        assert (await account(client)).email_verified


async def test_hc11_a_pending_sign_in_chooses_no_password(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        user = await make_user(client.sigra, password=None)
        login_token = (await client.sign_in_as(user, "hwk")).json()["login_token"]
        answer = await client.post("/auth/password/set", json={"new_password": OTHER, "login_token": login_token})

        assert answer.status_code == 401
        assert not await has_password(client)


async def test_hc10_who_chose_a_password_owes_what_everybody_owes(box: Postbox) -> None:
    async with with_box(MEMORY, box, Factor()) as client:
        token = await mailed(client, box, password=None)
        proven = await verify(client, token)
        chosen = await client.post("/auth/password/set", json={"new_password": PASSWORD})

    assert {one["kind"] for one in proven.json()["challenges"]} == {"mfa", "enrollment"}
    assert chosen.status_code == 202
    assert [one["kind"] for one in chosen.json()["challenges"]] == ["mfa"]


async def test_hc20_while_somebody_else_is_signed_in_nothing_is_spent(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(client, box, password=None)
        await client.sign_in(await make_user(client.sigra, "other@example.com"))
        refused = await verify(client, token)
        await client.sign_out()
        again = await verify(client, token)

    assert (refused.status_code, refused.json()["code"]) == (409, "other_account")
    assert again.status_code == 202


async def test_hc01_a_sign_up_without_a_password_ends_what_somebody_set(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        user = await unproven(client)
        token = await mailed(client, box, password=None)
        proven = await verify(client, token)
        chosen = await client.post("/auth/password/set", json={"new_password": OTHER})

        assert (proven.status_code, chosen.status_code) == (202, 200)
        assert not await works(client, PASSWORD)
        assert await keys(client, user) == 0


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https:evil.example", "/private"])
async def test_hc36_a_sign_up_leads_to_a_page_of_this_origin(target: str, box: Postbox) -> None:
    async with with_box(MEMORY, box, home="/welcome") as client:
        form = {"email": EMAIL, "next": target}
        await client.post("/auth/signup", data=form)
        await client.sigra.worker.work()
        await client.post("/auth/email/verify", data={"token": box.token()})
        chosen = await client.post("/auth/password/set", data={"new_password": PASSWORD})

    assert chosen.status_code == 303
    assert chosen.headers["location"] == (target if target == "/private" else "/welcome")


# Pages


async def test_the_page_asks_in_another_browser_for_the_password(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(browser(client), box)
        page = await client.post("/auth/email/verify", data={"token": token})
        wrong = await client.post("/auth/email/verify", data={"token": token, "password": "wrong"})
        form = {"token": token, "password": PASSWORD, "next": "/auth/login?done=email.verified"}
        right = await client.post("/auth/email/verify", data=form)
        login = await client.get(right.headers["location"], headers=PAGE)

        for asking, status in ((page, 200), (wrong, 401)):
            assert asking.status_code == status
            assert 'name="password"' in asking.text
            assert 'name="without_password"' in asking.text
            assert f'name="token" type="hidden" value="{token}"' in asking.text
        assert right.status_code == 303
        assert "Your address is confirmed." in login.text
        assert await works(client, PASSWORD)


async def test_the_page_carries_the_code_too(box: Postbox) -> None:
    async with with_box(MEMORY, box) as client:
        await mailed(browser(client), box)
        form = {"token": "", "email": EMAIL, "code": box.code()}
        page = await client.post("/auth/email/verify", data=form)
        done = await client.post("/auth/email/verify", data={**form, "password": PASSWORD})

        assert f'name="code" value="{box.code()}"' in page.text
        assert done.status_code == 303
        assert await works(client, PASSWORD)


async def test_who_goes_on_without_the_password_gets_an_empty_account(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        token = await mailed(browser(client), box)
        form = {"token": token, "password": "", "without_password": "true"}
        done = await client.post("/auth/email/verify", data=form)

        assert done.status_code == 303
        assert (await account(client)).email_verified
        assert not await has_password(client)


async def test_the_page_asks_for_nothing_that_is_not_there(box: Postbox) -> None:
    async with with_box(MEMORY, box) as client:
        own, empty = browser(client), browser(client)
        token = await mailed(own, box)
        in_its_browser = await own.post("/auth/email/verify", data={"token": token})
        token = await mailed(empty, box, "b@example.com", None)
        elsewhere = await client.post("/auth/email/verify", data={"token": token})

    assert (in_its_browser.status_code, elsewhere.status_code) == (303, 303)


async def test_hc38_a_bad_token_is_not_said_again(box: Postbox) -> None:
    async with with_box(MEMORY, box) as client:
        hostile = '"><script>alert(1)</script>'
        page = await client.post("/auth/email/verify", data={"token": hostile, "email": hostile})
        asked = await client.get(f"/auth/email/verify?token={hostile}", headers=PAGE)

    assert page.status_code == 400
    assert "The token is not valid." in page.text
    assert "<script>alert" not in page.text
    assert "alert(1)" not in asked.text
    assert "script-src 'sha256-" in asked.headers["content-security-policy"]


async def test_the_whole_way_by_forms_ends_where_one_wanted_to_go(database: str, box: Postbox) -> None:
    async with with_box(database, box) as client:
        await client.post("/auth/signup?next=/private", data={"email": EMAIL})
        await client.sigra.worker.work()
        page = await client.get("/auth/email/verify", headers=PAGE)
        proven = await client.post("/auth/email/verify", data={"email": EMAIL, "code": box.code()})
        choosing = await client.get(proven.headers["location"], headers=PAGE)
        weak = await client.post("/auth/password/set", data={"new_password": "short"})
        chosen = await client.post("/auth/password/set", data={"new_password": PASSWORD})

    assert 'value="/auth/login?done=email.verified&amp;next=/private"' in page.text
    assert proven.headers["location"] == "/auth/login/challenge"
    for asking in (choosing, weak):
        assert 'action="/auth/password/set"' in asking.text
    assert (weak.status_code, chosen.headers["location"]) == (422, "/private")


async def test_a_form_that_asks_again_comes_back(box: Postbox) -> None:
    async with with_box(MEMORY, box) as client:
        asked = await client.post("/auth/email/verify/resend", data={"email": EMAIL})
        wrong = await client.post("/auth/email/verify/resend", data={"email": "nobody"})

    assert (asked.status_code, asked.headers["location"]) == (303, "/auth/email/verify")
    assert wrong.status_code == 422
    assert "This is not an e-mail address." in wrong.text


# Failure


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("password", [PASSWORD, None])
async def test_hc45_a_proof_that_is_cut_anywhere_is_whole_or_not_at_all(
    password: str | None, late: bool, database: str, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable = Cable()
    async with with_box(database, box) as client:
        cable.lay(client, monkeypatch)
        token = await mailed(client, box, password=password)
        cable.cut(None)
        whole = await verify(client, token)
        for at in range(len(cable.told)):
            email, mine = f"user{at}@example.com", browser(client)
            cable.mend()
            token = await mailed(mine, box, email, password)
            cable.cut(at, late=late)
            refused = await verify(mine, token)
            cable.mend()
            repeated = await verify(mine, token)
            user = await account(client, email)
            assert is_unavailable(refused), at
            assert user is not None and user.email_verified, at
            if repeated.status_code == 400:
                assert late
            else:
                assert repeated.status_code == whole.status_code
            assert await has_password(client, email) is (password is not None)
            assert (await rows(client))["sigra_signups"] == 0

"""Linking: the proof of an account whose address a provider has told, and linking by who is signed in."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pyotp
import pytest

from sigra import User
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from sigra_oauth.attempts import LIFETIME
from tests.oauth.cases import (
    ADA,
    BROWSER,
    EVE,
    code_of,
    come,
    email_of,
    installed,
    kinds_of,
    mails,
    members,
    other,
    owners,
    says,
    who,
)
from tests.oauth.dancing import answered, come_back, counted, dance, outcome, start
from tests.oauth.hostile import Hostile

LINK = "/auth/oauth/link"
RIGHT = {"password": PASSWORD}

OWNED = {"sub-ada": ADA}


async def asked_for_proof(client: Client, provider: Hostile) -> Client:
    """A browser that came by a verified address that has an account; the account's proof is waited for."""
    browser, response = await come(client, provider, "sub-ada", ADA)
    assert response.status_code == 202
    assert members(response)["challenges"] == [{"kind": "link", "methods": ["password"]}]
    return browser  # type: ignore[no-any-return]


async def with_an_app(client: Client, user: User) -> pyotp.TOTP:
    """A second factor of the user's."""
    browser = other(client)
    await browser.sign_in(user)
    app = pyotp.TOTP((await browser.post("/auth/totp/enroll")).json()["secret"])
    confirmed = await browser.post("/auth/totp/confirm", json={"code": app.at(client.sigra.clock())})
    assert confirmed.status_code == 200
    return app


def code(client: Client, app: pyotp.TOTP) -> dict[str, str]:
    return {"code": app.at(client.sigra.clock(), counter_offset=1)}


# The proof of an account


async def test_hc04_an_address_that_has_an_account_asks_for_its_proof_and_is_never_joined_by_itself(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        before, asked = await owners(client), await who(browser)
        wrong = await browser.post(LINK, json={"password": "a wrong password"})
        after_wrong = await owners(client)
        right = await browser.post(LINK, json=RIGHT)
        linked = await owners(client)
        _, again = await come(client, provider, "sub-ada", ADA)
        box = await mails(client)
        session = (await browser.get("/auth/session")).json()

    assert (before, asked) == ({}, None)
    assert (wrong.status_code, code_of(wrong), after_wrong) == (401, "invalid_credentials", {})
    assert (outcome(right), linked, outcome(again)) == ("accepted", OWNED, "accepted")
    assert session["identity"]["amr"] == ["pwd", "fed"]
    [told] = [one for one in box.messages if one.kind == "identity_linked"]
    assert (told.recipient, "hostile" in told.text) == (ADA, True)


async def test_the_proof_is_asked_for_by_a_page_that_names_the_account(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        callback = await answered(await start(client, next="/private"))
        sent = await come_back(client, callback, **BROWSER)
        page = await client.get(sent.headers["location"], headers=BROWSER)
        wrong = await client.post(LINK, data={"password": "a wrong password"})
        right = await client.post(LINK, data=RIGHT)

    assert (sent.status_code, sent.headers["location"]) == (303, LINK)
    assert ADA in page.text
    assert (wrong.status_code, wrong.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert (right.status_code, right.headers["location"]) == (303, "/private")


async def test_what_it_takes_is_a_password(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        response = await browser.post(LINK, json={})

    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "password")


async def test_an_account_without_a_password_is_proven_by_signing_in_to_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra, password=None)
        browser = await asked_for_proof(client, provider)
        guessed = await browser.post(LINK, json=RIGHT)
        await browser.sign_in_as(user, "link", methods=("magic_link",))
        linked = await browser.post(LINK, json={})
        owned, asked = await owners(client), await who(browser)

    assert guessed.status_code == 401
    assert (linked.status_code, owned, asked) == (204, OWNED, ADA)


async def test_hc32_linking_by_being_signed_in_takes_a_fresh_session_and_gives_it_a_new_id(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        signed_in = other(client)
        await signed_in.sign_in(user)
        clock.tick(timedelta(minutes=30))
        browser = await asked_for_proof(client, provider)
        browser.cookies.update(signed_in.cookies)
        stale = await browser.post(LINK, json=RIGHT)
        before = await owners(client)
        await browser.sign_in(user)
        old = other(client)
        old.cookies.update(browser.cookies)
        fresh = await browser.post(LINK, json={})
        owned, asked = await owners(client), [await who(browser), await who(old)]

    assert (stale.status_code, code_of(stale), before) == (403, "reauthentication_required", {})
    assert (fresh.status_code, owned, asked) == (204, OWNED, [ADA, None])


async def test_hc04_somebody_else_who_is_signed_in_proves_nothing(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        eve = await make_user(client.sigra, EVE)
        browser = await asked_for_proof(client, provider)
        await browser.sign_in(eve)
        answers = [await browser.post(LINK, json=body) for body in ({}, RIGHT)]
        owned, asked = await owners(client), await who(browser)

    assert [(one.status_code, code_of(one)) for one in answers] == [(409, "other_account")] * 2
    assert (owned, asked) == ({}, EVE)


async def test_hc04_the_password_of_another_account_proves_nothing(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        await make_user(client.sigra, EVE, "a train of thought leaves at nine")
        browser = await asked_for_proof(client, provider)
        response = await browser.post(LINK, json={"password": "a train of thought leaves at nine", "email": EVE})
        owned = await owners(client)

    assert (response.status_code, owned) == (401, {})


async def test_hc28_the_proof_is_taken_in_the_browser_that_came(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        _, response = await come(client, provider, "sub-ada", ADA)
        token = response.json()["login_token"]
        answers = [
            await other(client).post(LINK, json=body)
            for body in (RIGHT, {**RIGHT, "login_token": "x" * 43}, {**RIGHT, "login_token": token})
        ]

    assert [outcome(one) for one in answers] == ["oauth_expired", "oauth_expired", "accepted"]


async def test_hc28_the_proof_is_taken_within_ten_minutes(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        clock.tick(LIFETIME)
        response = await browser.post(LINK, json=RIGHT)
        owned = await owners(client)

    assert (outcome(response), owned) == ("oauth_expired", {})


async def test_hc11_nothing_is_proven_before_there_is_an_answer(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """The cookie of an attempt that is on its way is none of one that waits."""
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        says(provider, "sub-ada", ADA)
        await start(client)
        answers = [
            await client.post(LINK, json=RIGHT),
            await client.post("/auth/oauth/address", json={"email": EVE}),
            await client.get(LINK, headers=BROWSER),
            await client.get("/auth/oauth/address", headers=BROWSER),
        ]

    assert [one.status_code for one in answers] == [400] * 4


async def test_hc11_what_waits_for_a_proof_takes_no_address_instead(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Else the proof of the account would be gone round."""
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        response = await browser.post("/auth/oauth/address", json={"email": EVE})
        counts = await counted(client)

    assert (outcome(response), counts["sigra_users"]) == ("oauth_expired", 1)


async def test_hc14_two_proofs_at_once_link_once(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        answers = await asyncio.gather(*(browser.post(LINK, json=RIGHT) for _ in range(2)))
        late = await browser.post(LINK, json={})
        counts = await counted(client)

    assert [one.status_code for one in answers] == [200, 200]
    assert (counts["sigra_oauth_identities"], late.status_code) == (1, 400)


async def test_hc13_guesses_at_the_proof_are_guesses_at_the_account(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    limits = {"rules": {"sign_in_account": "3/hour"}}
    async with installed(database, clock, provider, limits=limits) as client:
        await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        guesses = [await browser.post(LINK, json={"password": "a wrong password"}) for _ in range(3)]
        right = await browser.post(LINK, json=RIGHT)
        elsewhere = await other(client).post("/auth/login", json={"email": ADA, "password": PASSWORD})

    assert [one.status_code for one in guesses] == [401] * 3
    assert [right.status_code, elsewhere.status_code] == [429, 429]


# Locks, factors and endings


async def test_hc40_who_is_locked_out_comes_in_by_a_provider_and_proves_nothing_by_a_password(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, plugins=["lockout"]) as client:
        user = await make_user(client.sigra)
        says(provider, "sub-1", EVE)
        await client.sign_in(user)
        assert (await dance(client, intent="link")).status_code == 204
        browser = await asked_for_proof(client, provider)
        for _ in range(20):
            await other(client).sign_in(user, "a wrong password")
        by_password = await browser.post(LINK, json=RIGHT)
        locked = await other(client).sign_in(user)
        _, by_provider = await come(client, provider, "sub-1", EVE)

    assert (locked.status_code, by_password.status_code, outcome(by_provider)) == (401, 401, "accepted")


async def test_hc10_a_second_factor_is_asked_for_after_a_provider(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, plugins=["totp"]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await dance(client, intent="link")
        app = await with_an_app(client, user)
        browser, response = await come(client, provider, "sub-ada", ADA)
        before = await who(browser)
        factor = await browser.post("/auth/login/totp", json=code(client, app))
        session = (await browser.get("/auth/session")).json()

    assert (response.status_code, before) == (202, None)
    assert kinds_of(response) == ["mfa"]
    assert outcome(factor) == "accepted"
    # An account elsewhere is no factor (RFC 8176 has no word for it), and a code alone is one.
    assert (session["identity"]["amr"], session["identity"]["assurance"]) == (["fed", "otp"], "aal1")


async def test_hc10_it_is_linked_when_all_is_proven_and_not_before(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, plugins=["totp"]) as client:
        app = await with_an_app(client, await make_user(client.sigra))
        browser = await asked_for_proof(client, provider)
        proven = await browser.post(LINK, json=RIGHT)
        before, asked = await owners(client), await who(browser)
        _, meanwhile = await come(client, provider, "sub-ada", ADA)
        wrong = await browser.post("/auth/login/totp", json={"code": "000000"})
        after_wrong = await owners(client)
        factor = await browser.post("/auth/login/totp", json=code(client, app))
        owned = await owners(client)

    assert (proven.status_code, kinds_of(proven)) == (202, ["mfa"])
    assert (before, asked) == ({}, None)
    assert kinds_of(meanwhile) == ["link"]
    assert (wrong.status_code, after_wrong) == (401, {})
    assert (outcome(factor), owned) == ("accepted", OWNED)


async def test_hc11_a_sign_in_of_ones_own_links_nothing_that_waits(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """The owner signs in in the browser in which an attacker left an answer: that asks for nothing to be linked."""
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        await browser.sign_in(user)
        owned = await owners(client)

    assert owned == {}


async def test_hc11_a_proof_that_waits_for_a_factor_ends_with_what_ends_proofs(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, plugins=["totp"]) as client:
        user = await make_user(client.sigra)
        app = await with_an_app(client, user)
        browser = await asked_for_proof(client, provider)
        await browser.post(LINK, json=RIGHT)
        await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, user, "test"))
        factor = await browser.post("/auth/login/totp", json=code(client, app))
        owned = await owners(client)

    assert (factor.status_code, code_of(factor), owned) == (401, "login_expired", {})


async def test_hc11_a_proof_that_comes_to_its_end_after_the_attempt_links_nothing_and_lets_nobody_in(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, plugins=["totp"]) as client:
        app = await with_an_app(client, await make_user(client.sigra))
        browser = await asked_for_proof(client, provider)
        clock.tick(LIFETIME - timedelta(minutes=1))
        await browser.post(LINK, json=RIGHT)
        clock.tick(timedelta(minutes=2))
        factor = await browser.post("/auth/login/totp", json=code(client, app))
        owned, asked = await owners(client), await who(browser)

    assert (factor.status_code, owned, asked) == (401, {}, None)


@pytest.mark.parametrize("status", ["disabled", "closing"])
async def test_hc08_the_proof_of_a_disabled_account_is_a_wrong_one(
    database: str, clock: FrozenClock, provider: Hostile, status: Any
) -> None:
    """A password can be guessed: nobody is told by it that the account is disabled."""
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, status))
        answers = [await browser.post(LINK, json={"password": one}) for one in (PASSWORD, "a wrong password")]
        owned = await owners(client)

    assert [(one.status_code, code_of(one)) for one in answers] == [(401, "invalid_credentials")] * 2
    assert owned == {}


async def test_hc08_what_waits_for_an_account_goes_with_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        browser = await asked_for_proof(client, provider)
        await client.sigra.db.transaction(lambda tx: client.sigra.users.delete(tx, user))
        response = await browser.post(LINK, json=RIGHT)

    assert outcome(response) == "oauth_expired"


# By who is signed in


async def test_who_is_signed_in_links_whatever_address_it_has_there(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """The address there decides nothing, be it somebody else's, unverified or none."""
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra, EVE)
        user = await make_user(client.sigra)
        await client.sign_in(user)
        statuses = []
        for sub, email, said in (("a", EVE, True), ("b", EVE, False), ("c", None, True), ("d", ADA, True)):
            says(provider, sub, email, said)
            statuses.append((await dance(client, intent="link")).status_code)
        owned = await owners(client)
        response = (await come(client, provider, "b", EVE, False))[1]
        box = await mails(client)

    assert statuses == [204] * 4
    assert owned == dict.fromkeys("abcd", ADA)
    assert email_of(response) == ADA
    assert [(one.kind, one.recipient) for one in box.messages] == [("identity_linked", ADA)] * 4


async def test_linking_what_is_linked_changes_nothing_and_tells_nobody(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await client.sign_in(await make_user(client.sigra))
        answers = [await dance(client, intent="link") for _ in range(2)]
        owned, box = await owners(client), await mails(client)

    assert [one.status_code for one in answers] == [204, 204]
    assert (owned, box.kinds) == (OWNED, ["identity_linked"])


async def test_hc04_what_is_another_accounts_is_not_linked_and_touches_neither(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-ada", ADA)
        await client.sign_in(await make_user(client.sigra, EVE))
        says(provider, "sub-ada", EVE)
        answers = [await dance(client, intent="link")]
        callback = await answered(await start(client, intent="link"))
        answers.append(await come_back(client, callback, **BROWSER))
        owned, asked = await owners(client), await who(client)

    assert (answers[0].status_code, outcome(answers[0])) == (409, "oauth_identity_taken")
    assert (answers[1].status_code, answers[1].headers["content-type"]) == (409, "text/html; charset=utf-8")
    assert (owned, asked) == (OWNED, EVE)


async def test_hc32_linking_gives_the_session_a_new_id(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await client.sign_in(await make_user(client.sigra))
        old = other(client)
        old.cookies.update(client.cookies)
        await dance(client, intent="link")
        asked = [await who(client), await who(old)]

    assert asked == [ADA, None]


@pytest.mark.parametrize("intent", ["link", "reauthenticate"])
async def test_what_is_about_who_is_signed_in_needs_a_session(
    database: str, clock: FrozenClock, provider: Hostile, intent: str
) -> None:
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        path = "/auth/oauth/hostile/start"
        nobody = await client.post(path, json={"intent": intent})
        by_key = await client.post(path, json={"intent": intent}, headers={"authorization": f"Bearer {key}"})

    assert (nobody.status_code, code_of(nobody)) == (401, "unauthenticated")
    assert (by_key.status_code, code_of(by_key)) == (403, "session_required")


async def test_hc32_linking_begins_freshly(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=30))
        response = await client.post("/auth/oauth/hostile/start", json={"intent": "link"})

    assert (response.status_code, code_of(response)) == (403, "reauthentication_required")


async def test_hc35_a_foreign_page_begins_nothing(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await client.sign_in(await make_user(client.sigra))
        foreign = client.as_browser(site="cross-site", origin="https://evil.example.com")
        answers = [
            await foreign.post("/auth/oauth/hostile/start", json={"intent": one})
            for one in ("login", "link", "reauthenticate")
        ]
        answers += [await foreign.post(one, json={}) for one in (LINK, "/auth/oauth/address")]

    assert [(one.status_code, code_of(one)) for one in answers] == [(403, "cross_origin")] * 5

"""Who comes from a provider: known, new, with an address that is somebody's, or nobody's, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sigra import Refused, StartSignUp, hookimpl
from sigra.testing import PASSWORD, Client, FrozenClock, make_user
from sigra_oauth import OAuth
from tests.oauth import hostile
from tests.oauth.cases import (
    ADA,
    BROWSER,
    EVE,
    code_of,
    come,
    email_of,
    installed,
    is_proven,
    kinds_of,
    mails,
    other,
    owners,
    says,
    seen,
    who,
)
from tests.oauth.dancing import counted, dance, outcome
from tests.oauth.hostile import Hostile
from tests.signing_up import verify, watched

UNSAID = object()

unverified = pytest.mark.parametrize(
    "said", [False, "true", 1, None, UNSAID], ids=["false", "text", "1", "null", "unsaid"]
)


def unsaid(provider: Hostile, sub: str, email: str, said: object) -> None:
    says(provider, sub, email, said)
    if said is UNSAID:
        del provider.person["email_verified"]


# Known and new


async def test_who_is_known_signs_in_and_is_who_it_was(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        _, first = await come(client, provider, "sub-ada", ADA)
        browser, second = await come(client, provider, "sub-ada", ADA)
        session = (await browser.get("/auth/session")).json()

    assert first.json()["user"] == second.json()["user"]
    assert (session["identity"]["amr"], session["identity"]["assurance"]) == (["fed"], "aal1")


async def test_who_is_new_gets_an_account_of_a_proven_address(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        says(provider, "sub-ada", "Ada@Example.com", name="Ada Lovelace")
        response = await dance(client)
        box = await mails(client)

    assert email_of(response) == "Ada@Example.com"
    assert (is_proven(response), response.json()["user"]["name"]) == (True, "Ada Lovelace")
    assert "identity_linked" not in box.kinds


async def test_hc03_an_address_that_changes_there_changes_nobody_here(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra, EVE)
        await come(client, provider, "sub-ada", ADA)
        browser, response = await come(client, provider, "sub-ada", EVE)
        listed = (await browser.get("/auth/identities")).json()["identities"]
        owned = await owners(client)

    assert email_of(response) == ADA
    assert owned == {"sub-ada": ADA}
    assert [one["email"] for one in listed] == [EVE]


@pytest.mark.parametrize("verified", [True, False])
async def test_hc03_whoever_gets_an_address_there_later_gets_no_account_by_it(
    database: str, clock: FrozenClock, provider: Hostile, verified: bool
) -> None:
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-ada", ADA)
        browser, response = await come(client, provider, "sub-of-who-comes-later", ADA, verified)
        owned, asked = await owners(client), await who(browser)

    assert response.status_code == 202
    assert (owned, asked) == ({"sub-ada": ADA}, None)


async def test_hc04_two_accounts_there_are_two_here(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        ada, _ = await come(client, provider, "sub-1", ADA)
        eve, _ = await come(client, provider, "sub-2", EVE)
        asked = [await who(ada), await who(eve)]
        owned = await owners(client)

    assert asked == [ADA, EVE]
    assert owned == {"sub-1": ADA, "sub-2": EVE}


async def test_hc04_the_same_subject_of_another_provider_is_somebody_else(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    with hostile.running(clock, name="hostile2") as second:
        async with installed(database, clock, provider, second) as client:
            await come(client, provider, "sub-ada", ADA)
            says(second, "sub-ada", ADA)
            response = await dance(client, "hostile2")
            counts, asked = await counted(client), await who(client)

    assert kinds_of(response) == ["link"]
    assert (counts["sigra_oauth_identities"], asked) == (1, None)


# An address that is not proven


@unverified
async def test_hc02_an_unverified_address_of_an_account_signs_nobody_in_and_links_nothing(
    database: str, clock: FrozenClock, provider: Hostile, said: object
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        unsaid(provider, "sub-eve", ADA, said)
        response = await dance(client)
        counts, asked, box = await counted(client), await who(client), await mails(client)

    assert outcome(response) == "unverified"
    assert counts == {"sigra_users": 1, "sigra_sessions": 0, "sigra_oauth_identities": 0}
    assert asked is None
    assert box.kinds == ["already_registered"]


async def test_hc02_the_proof_of_an_account_links_no_unverified_address_that_waits(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """The attacker's answer waits for a mail that the owner of the account gets."""
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        eve, _ = await come(client, provider, "sub-eve", ADA, False)
        await client.sign_in(user)
        proven = await eve.post("/auth/oauth/link", json={"password": PASSWORD})
        owned = await owners(client)

    assert code_of(proven) == "oauth_expired"
    assert owned == {}


async def visits(client: Client, provider: Hostile, sub: str, address: str, told: str | None) -> list[Any]:
    """What somebody does who would know whether an address has an account, and what is answered.

    Args:
        told: The address that the provider tells.
    """
    browser, answers = other(client), []
    says(provider, sub, told, False)
    for _ in range(3):
        answers.append(seen(await dance(browser)))
        if told is None:
            given = {"email": address}
            answers += [seen(await browser.post("/auth/oauth/address", json=given)) for _ in range(2)]
        for page in ("login/challenge", "email/verify", "oauth/address"):
            shown = await browser.get(f"/auth/{page}", headers=BROWSER)
            answers.append((shown.status_code, shown.text.replace(address, "-")))
        answers.append(sorted(name[:11] for name in browser.cookies))
    return answers


async def occupied(client: Client, provider: Hostile, there: str) -> None:
    """Have somebody at the address of Ada's."""
    if there == "identity":
        await come(client, provider, "sub-ada", ADA)
        return
    user = await make_user(client.sigra, email_verified=there != "unproven")
    if there == "disabled":
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, "disabled"))


@pytest.mark.parametrize("there", ["account", "unproven", "disabled", "identity"])
@pytest.mark.parametrize("tells", [True, False], ids=["told", "given"])
async def test_hc02_nobody_learns_by_coming_whether_an_address_has_an_account(
    database: str, clock: FrozenClock, provider: Hostile, there: str, tells: bool
) -> None:
    """Nor by coming again, which is answered as the first time."""
    async with installed(database, clock, provider) as client:
        await occupied(client, provider, there)
        taken = await visits(client, provider, "sub-1", ADA, ADA if tells else None)
        free = await visits(client, provider, "sub-2", EVE, EVE if tells else None)

    assert free[0][0] == 202
    assert taken == free


async def test_hc02_nobody_learns_by_two_tabs_whether_an_address_has_an_account(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Of one identity, which has an account by the first tab already."""
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        answers = []
        for sub, address in (("sub-1", ADA), ("sub-2", EVE)):
            says(provider, sub, None)
            tabs = [other(client), other(client)]
            for tab in tabs:
                await dance(tab)
            await tabs[0].post("/auth/oauth/address", json={"email": f"{sub}@example.com"})
            answers.append(seen(await tabs[1].post("/auth/oauth/address", json={"email": address})))
            answers.append(seen(await tabs[1].post("/auth/oauth/address", json={"email": f"{sub}@example.com"})))

    assert answers[:2] == answers[2:]
    assert [one[0] for one in answers] == [202] * 4


async def test_hc02_an_old_mail_tells_nothing_of_a_new_address(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """A mailbox of one's own first, then the address in question: what the first mail does is the same."""
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        answers = []
        for sub, address in (("sub-1", ADA), ("sub-2", EVE)):
            browser = other(client)
            await mails(client)
            says(provider, sub, f"{sub}@example.com", False)
            await dance(browser)
            token = (await mails(client)).token()
            says(provider, sub, address, False)
            await dance(browser)
            answers.append((await verify(browser, token)).status_code)
            says(provider, sub, f"{sub}@example.com", False)
            answers.append(outcome(await dance(browser)))

    assert answers[:2] == answers[2:]


async def test_hc02_as_much_is_done_for_an_address_with_an_account_as_for_one_without(
    database: str, clock: FrozenClock, provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same statements, and nothing is hashed."""
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        with watched(client, monkeypatch) as work:
            done = []
            for sub, address in (("sub-1", ADA), ("sub-2", EVE)) * 2:
                work.take()
                await come(client, provider, sub, address, False)
                done.append(work.take())

    taken, free, taken_again, free_again = done
    assert len(taken[0]) > 5
    assert (taken, taken_again) == (free, free_again)


async def test_hc02_two_mails_for_two_who_cannot_tell(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra)
        await come(client, provider, "sub-1", ADA, False)
        await come(client, provider, "sub-2", EVE, False)
        box = await mails(client)

    assert {(one.kind, one.recipient) for one in box.messages} == {("already_registered", ADA), ("verify_email", EVE)}


@pytest.mark.parametrize("by", ["link", "code"])
async def test_a_proof_in_the_same_browser_keeps_what_is_linked(
    database: str, clock: FrozenClock, provider: Hostile, by: str
) -> None:
    async with installed(database, clock, provider) as client:
        browser, _ = await come(client, provider, "sub-eve", EVE, False)
        box = await mails(client)
        proof = {"token": box.token()} if by == "link" else {"email": EVE, "code": box.code()}
        proven = await browser.post("/auth/email/verify", json=proof)
        _, response = await come(client, provider, "sub-eve", EVE, False)
        owned = await owners(client)

    assert proven.status_code == 204
    assert (outcome(response), owned) == ("accepted", {"sub-eve": EVE})


@pytest.mark.parametrize("sub", ["sub-eve", "sub-else"])
async def test_hc01_who_keeps_no_cookies_is_known_by_the_token_of_the_answer(
    database: str, clock: FrozenClock, provider: Hostile, sub: str
) -> None:
    """Of two who say the same address it is whose token comes with the mail's."""
    async with installed(database, clock, provider) as client:
        tokens = {}
        for one in ("sub-eve", "sub-else"):
            _, response = await come(client, provider, one, EVE, False)
            tokens[one] = response.json()["login_token"]
        proven = await verify(other(client), (await mails(client)).token(), login_token=tokens[sub])
        owned = await owners(client)

    assert proven.status_code == 204
    assert owned == {sub: EVE}


async def test_hc01_a_proof_in_another_browser_makes_nothing_and_spends_nothing(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Whoever reads the mail need not be whoever came: an attacker types the address of somebody else."""
    async with installed(database, clock, provider) as client:
        came, _ = await come(client, provider, "sub-eve", EVE, False)
        token = (await mails(client)).token()
        elsewhere = await verify(other(client), token)
        before = await counted(client)
        there = await verify(came, token)
        owned = await owners(client)

    assert (elsewhere.status_code, code_of(elsewhere)) == (400, "invalid_token")
    assert before == {"sigra_users": 0, "sigra_sessions": 0, "sigra_oauth_identities": 0}
    assert (there.status_code, owned) == (204, {"sub-eve": EVE})


async def test_hc01_of_two_who_say_an_address_it_is_of_who_reads_its_mail(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """And the other one has nothing of it afterwards, in its browser either."""
    async with installed(database, clock, provider) as client:
        attacker, _ = await come(client, provider, "sub-attacker", EVE, False)
        victim, _ = await come(client, provider, "sub-eve", EVE, False)
        token = (await mails(client)).token()
        await verify(victim, token)
        late = await verify(attacker, token)
        says(provider, "sub-attacker", EVE, False)
        again = await dance(attacker)
        owned = await owners(client)

    assert (late.status_code, outcome(again)) == (400, "unverified")
    assert owned == {"sub-eve": EVE}


# No address


@pytest.mark.parametrize("told", [None, "no address", "a@b@c", ""], ids=["none", "text", "two", "empty"])
async def test_who_has_no_address_there_is_asked_for_one(
    database: str, clock: FrozenClock, provider: Hostile, told: str | None
) -> None:
    async with installed(database, clock, provider) as client:
        says(provider, "sub-eve", told)
        asked = await dance(client)
        refused = await client.post("/auth/oauth/address", json={"email": "no address"})
        given = await client.post("/auth/oauth/address", json={"email": f" {EVE} "})
        await verify(client, (await mails(client)).token())
        response = await dance(client)

    assert asked.json()["challenges"] == [{"kind": "email_verification", "methods": ["oauth"]}]
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "email")
    assert outcome(given) == "unverified"
    assert (outcome(response), email_of(response)) == ("accepted", EVE)


async def test_an_address_is_given_without_a_cookie_by_the_token_of_the_answer(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        _, asked = await come(client, provider, "sub-eve", None)
        body = {"email": EVE, "login_token": asked.json()["login_token"]}
        given, none = [await other(client).post("/auth/oauth/address", json=one) for one in (body, {"email": EVE})]

    assert outcome(given) == "unverified"
    assert (none.status_code, code_of(none)) == (400, "oauth_expired")


async def test_hc01_an_address_that_was_mistyped_is_corrected_and_never_proves_anything(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        says(provider, "sub-eve", None)
        await dance(client)
        await client.post("/auth/oauth/address", json={"email": "eev@example.com"})
        stranger = (await mails(client)).token()
        corrected = await client.post("/auth/oauth/address", json={"email": EVE})
        own = (await mails(client)).token()
        refused = [await verify(one, stranger) for one in (other(client), client)]
        await verify(client, own)
        response, owned = await dance(client), await owners(client)

    assert outcome(corrected) == "unverified"
    assert [one.status_code for one in refused] == [400, 400]
    assert (email_of(response), owned) == (EVE, {"sub-eve": EVE})


async def test_hc28_an_answer_waits_no_longer_for_being_given_other_addresses(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        says(provider, "sub-eve", None)
        await dance(client)
        answers = []
        for number in range(4):
            answers.append(await client.post("/auth/oauth/address", json={"email": f"eve{number}@example.com"}))
            clock.tick(timedelta(hours=9))

    assert [one.status_code for one in answers] == [202, 202, 202, 400]


async def test_an_address_that_was_proven_takes_no_other_any_more(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        browser, _ = await come(client, provider, "sub-eve", EVE, False)
        await verify(browser, (await mails(client)).token())
        late = await browser.post("/auth/oauth/address", json={"email": "else@example.com"})
        owned = await owners(client)

    assert (late.status_code, code_of(late), owned) == (400, "oauth_expired", {"sub-eve": EVE})


async def test_hc04_who_waits_for_two_addresses_has_the_one_that_is_proven_first(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Two tabs, each with an address of its own: the second proof makes nothing, and spends nothing."""
    async with installed(database, clock, provider) as client:
        says(provider, "sub-eve", EVE, False)
        await dance(client)
        first = (await mails(client)).token()
        says(provider, "sub-eve", ADA, False)
        await dance(client)
        second = (await mails(client)).token()
        proven = await verify(client, first)
        refused = [await verify(client, second) for _ in range(2)]
        again, left = await dance(client), await counted(client)
        owned = await owners(client)

    assert proven.status_code == 204
    assert [(one.status_code, code_of(one)) for one in refused] == [(409, "oauth_identity_taken")] * 2
    assert (email_of(again), owned) == (EVE, {"sub-eve": EVE})
    assert left["sigra_users"] == 1


async def test_an_address_that_somebody_takes_meanwhile_stays_theirs(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        says(provider, "sub-eve", None)
        await dance(client)
        await make_user(client.sigra)
        given = await client.post("/auth/oauth/address", json={"email": ADA})
        box, owned = await mails(client), await owners(client)

    assert (outcome(given), box.kinds, owned) == ("unverified", ["already_registered"], {})


# Where none are made


class Closed:
    """Lets nobody sign up."""

    name = "closed"
    api = 1

    @hookimpl
    async def before_action(self, action: Any) -> None:
        if isinstance(action, StartSignUp):
            raise Refused("Not today.")


@pytest.mark.parametrize("said", [True, False], ids=["verified", "unverified"])
async def test_who_refuses_sign_ups_refuses_those_of_providers(
    database: str, clock: FrozenClock, provider: Hostile, said: bool
) -> None:
    async with installed(database, clock, provider, plugins=[Closed()]) as client:
        _, response = await come(client, provider, "sub-eve", EVE, said)
        counts = await counted(client)

    assert (response.status_code, counts["sigra_users"]) == (403, 0)


@pytest.mark.parametrize("said", [True, False], ids=["verified", "unverified"])
async def test_a_provider_may_make_no_accounts_and_lets_in_who_has_one(
    database: str, clock: FrozenClock, provider: Hostile, said: bool
) -> None:
    async with installed(database, clock, provider, entries={"sign_up": False}) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        says(provider, "sub-ada", None)
        linked = await dance(client, intent="link")
        _, known = await come(client, provider, "sub-ada", ADA, said)
        _, new = await come(client, provider, "sub-eve", EVE, said)

    assert (linked.status_code, outcome(known)) == (204, "accepted")
    assert (new.status_code, code_of(new)) == (403, "oauth_sign_up_closed")


async def test_hc01_a_closed_provider_makes_no_account_in_place_of_one_that_goes_at_that_moment(
    database: str, clock: FrozenClock, provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with installed(database, clock, provider, entries={"sign_up": False}) as client:
        await make_user(client.sigra, email_verified=False)
        users, found = client.sigra.users, client.sigra.users.by_email

        async def gone(address: str, tx: Any = None) -> Any:
            user = await found(address, tx)
            if user is not None and tx is None:
                await client.sigra.db.transaction(lambda tx: users.delete(tx, user))
            return user

        monkeypatch.setattr(users, "by_email", gone)
        response = await dance(client)
        counts = await counted(client)

    assert (outcome(response), counts["sigra_users"]) == ("oauth_sign_up_closed", 0)


async def test_hc01_a_provider_that_is_closed_while_a_mail_is_waited_for_makes_no_account(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        browser, _ = await come(client, provider, "sub-eve", EVE, False)
        token, its = (await mails(client)).token(), client.sigra.plugin(OAuth).providers["hostile"]
        its.registration = replace(its.registration, sign_up=False)  # type: ignore[attr-defined]
        response = await verify(browser, token)
        counts = await counted(client)

    assert (response.status_code, counts["sigra_users"]) == (403, 0)
    assert response.json()["code"] == "oauth_sign_up_closed"


async def test_a_closed_provider_does_not_tell_of_an_account_by_an_unverified_address(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider, entries={"sign_up": False}) as client:
        await make_user(client.sigra)
        answers = [(await come(client, provider, "sub-1", one, False))[1] for one in (ADA, EVE)]

    assert answers[0].json() == answers[1].json()
    assert code_of(answers[0]) == "oauth_sign_up_closed"


@pytest.mark.parametrize("said", [True, False], ids=["verified", "unverified"])
async def test_accounts_that_providers_make_count_as_sign_ups(
    database: str, clock: FrozenClock, provider: Hostile, said: bool
) -> None:
    limits = {"rules": {"sign_up_client": "2/hour"}}
    async with installed(database, clock, provider, limits=limits) as client:
        answers = [(await come(client, provider, f"sub-{n}", f"n{n}@example.com", said))[1] for n in range(3)]
        counts = await counted(client)

    assert [one.status_code for one in answers] == [*[200 if said else 202] * 2, 429]
    assert counts["sigra_users"] == (2 if said else 0)


async def test_starts_are_limited(database: str, clock: FrozenClock, provider: Hostile) -> None:
    limits = {"rules": {"oauth_start": "2/minute"}}
    async with installed(database, clock, provider, limits=limits) as client:
        answers = [await client.post("/auth/oauth/hostile/start", json={}) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 429]


# Locked, disabled, under a second factor


@pytest.mark.parametrize("status", ["disabled", "closing"])
@pytest.mark.parametrize("proven", [True, False], ids=["known", "unproven"])
async def test_hc08_who_is_disabled_is_told_so_and_not_let_in(
    database: str, clock: FrozenClock, provider: Hostile, status: Any, proven: bool
) -> None:
    async with installed(database, clock, provider) as client:
        if proven:
            await come(client, provider, "sub-ada", ADA)
            user = await client.sigra.users.by_email(ADA)
        else:
            user = await make_user(client.sigra, email_verified=False)
        assert user
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, status))
        browser, response = await come(client, provider, "sub-ada", ADA)
        asked, counts = await who(browser), await counted(client)

    assert (response.status_code, code_of(response), asked) == (403, "account_disabled", None)
    assert counts["sigra_oauth_identities"] == (1 if proven else 0)

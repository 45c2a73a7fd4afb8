"""What people see: buttons where they sign in, a section where their account is, a page where it was in vain."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx2
import pytest

from sigra.testing import PASSWORD, Client, FrozenClock, make_user
from sigra_oauth import OAuth
from tests.apps import running
from tests.oauth import hostile
from tests.oauth.cases import ADA, BROWSER, EVE, come, installed, mails, other, says
from tests.oauth.dancing import answered, come_back, dance, start
from tests.oauth.fault import Document, Fault
from tests.oauth.hostile import Hostile

HOSTILE = "\"'><script>alert(1)</script>"


async def post(client: Client, path: str, **fields: str) -> httpx2.Response:
    """As a form of a page."""
    return await client.post(f"/auth/{path}", data={"page": "true", **fields}, headers=BROWSER)


async def see(client: Client, path: str) -> str:
    return (await client.get(f"/auth/{path}", headers=BROWSER)).text


async def signed_in(client: Client, email: str = ADA) -> Client:
    """Somebody with a password and nothing else."""
    user = await make_user(client.sigra, email)
    await client.sign_in(user)
    return client


def cancelled(_: Any, given: Document) -> Document:
    return {"error": ["access_denied"], "state": given["state"], "iss": given["iss"]}


def title(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found, page
    return found[1]


def leads(page: str) -> list[str]:
    """Where its buttons that are links go."""
    return re.findall(r'<a class="button" href="([^"]*)"', page)


# Buttons


async def test_there_is_a_button_a_provider_where_people_sign_in_and_up(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider, entries={"label": HOSTILE}) as client:
        pages = [await see(client, f"{path}?next=/private") for path in ("login", "signup")]

    for page in pages:
        assert 'formaction="/auth/oauth/hostile/start?next=/private"' in page
        assert "Continue with &#34;&#39;&gt;&lt;script&gt;" in page
        assert HOSTILE not in page


async def test_nobody_is_told_to_sign_up_where_nobody_can(clock: FrozenClock, provider: Hostile, database: str) -> None:
    async with installed(database, clock, provider, entries={"sign_up": False}) as client:
        pages = [await see(client, path) for path in ("login", "signup")]

    assert ["oauth/hostile/start" in page for page in pages] == [True, False]


async def test_without_providers_there_is_no_button_and_no_section(database: str) -> None:
    async with running(database, ["defaults", "oauth"]) as client:
        pages = [await see(client, path) for path in ("login", "signup")]
        await signed_in(client)
        pages += [await see(client, path) for path in ("reauthenticate", "account")]

    assert [page for page in pages if "oauth" in page or "Linked accounts" in page] == []


async def test_the_button_asks_who_stays_signed_in(clock: FrozenClock, provider: Hostile, database: str) -> None:
    async with installed(database, clock, provider) as client:
        page = await see(client, "login")

    assert page.count('name="remember"') == 2
    assert "Keep me signed in with these" in page


async def test_a_page_leads_on_where_no_form_may(clock: FrozenClock, provider: Hostile, database: str) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        onward = await post(client, "oauth/hostile/start")
        redirect = await client.post("/auth/oauth/hostile/start", data={"intent": "login"})

    refresh = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]*)">', onward.text)
    assert refresh
    assert refresh[1].startswith(f"{provider.issuer}/authorize?response_type=code&amp;")
    assert leads(onward.text) == [refresh[1]]
    assert "Somewhere" in onward.text
    assert redirect.status_code == 303


# A start that was refused


async def test_a_start_that_fails_says_so_on_the_page_of_its_form(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    provider.fault = Fault("is another", discovery=lambda _, told: {**told, "issuer": "https://example.com"})
    async with installed(database, clock, provider) as client:
        at_login = await post(client, "oauth/hostile/start?next=/private")
        await signed_in(client)
        linking = await post(client, "oauth/hostile/start", intent="link")
        again = await post(client, "oauth/hostile/start?next=/private", intent="reauthenticate")

    seen = [(one.status_code, title(one.text), one.text.count('role="alert"')) for one in (at_login, linking, again)]
    assert seen == [(400, "Sign in", 1), (400, "Your account", 1), (400, "Confirm that it is you", 1)]
    assert 'formaction="/auth/oauth/hostile/start?next=/private"' in at_login.text
    assert 'action="/auth/login?next=/private"' in at_login.text


async def test_a_start_that_no_page_has_is_told_without_it(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider) as client:
        response = await post(client, "oauth/hostile/start", intent="nonsense")

    assert response.status_code == 422
    assert title(response.text) == "Sign in"


# An answer that was in vain


@pytest.mark.parametrize("by_form", [False, True], ids=["by link", "by form"])
async def test_whoever_cancels_is_told_and_led_back_to_where_it_began(
    clock: FrozenClock, database: str, by_form: bool
) -> None:
    backs = []
    with hostile.running(clock, base_url="https://localhost") as provider:
        provider.fault = Fault("is cancelled", callback=cancelled)
        async with installed(database, clock, provider, by_form=by_form, https=True) as client:
            for intent in ("login", "link", "reauthenticate"):
                browser = await signed_in(client) if intent == "link" else client
                url = await start(browser, intent=intent, next="/a?b=c")
                back = await come_back(browser, await answered(url), **BROWSER)
                backs.append((back.status_code, title(back.text), *leads(back.text)))

    assert backs == [
        (403, "Not allowed", "/auth/login?next=%2Fa%3Fb%3Dc"),
        (403, "Not allowed", "/auth/account#identities"),
        (403, "Not allowed", "/auth/reauthenticate?next=%2Fa%3Fb%3Dc"),
    ]


async def test_what_is_done_or_was_never_begun_has_a_page_of_its_own(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider) as client:
        begun = await client.post("/auth/oauth/hostile/start", json={})
        callback = await answered(begun.json()["authorization_url"])
        done = await come_back(client, callback, **BROWSER)
        pages = [
            await come_back(client, callback, **BROWSER),
            await client.get("/auth/oauth/hostile/callback", headers=BROWSER),
            await client.post("/auth/oauth/hostile/callback", data={"state": "x"}),
            await client.post("/auth/oauth/hostile/callback", data={"state": "x" * 20000}),
            await client.get("/auth/oauth/none/callback", headers=BROWSER),
            await client.get("/auth/oauth/link", headers=BROWSER),
            await client.get("/auth/oauth/address", headers=BROWSER),
            await post(other(client), "oauth/link", password=PASSWORD),
            await post(other(client), "oauth/address", email=ADA),
        ]
        told = await client.get("/auth/oauth/hostile/callback")

    assert done.status_code == 303
    assert [one.status_code for one in pages] == [400, 400, 400, 422, 404, 400, 400, 400, 400]
    assert [one.headers["content-type"] for one in pages] == ["text/html; charset=utf-8"] * len(pages)
    assert told.headers["content-type"] == "application/problem+json"


# The section of the account page


async def test_the_section_lists_what_is_linked(clock: FrozenClock, provider: Hostile, database: str) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        await signed_in(client)
        before = await see(client, "account")
        says(provider, "sub-1", EVE)
        await dance(client, intent="link")
        says(provider, "sub-2", None, name=HOSTILE)
        await dance(client, intent="link")
        page = await see(client, "account")

    assert "No account is linked." in before and ">Link Somewhere</button>" in before
    assert f"<strong>Somewhere</strong> {EVE}" in page
    assert page.count("Remove now") == 2
    assert HOSTILE not in page
    assert ">Link another Somewhere account</button>" in page


async def test_the_only_way_in_is_not_offered_for_removal(clock: FrozenClock, provider: Hostile, database: str) -> None:
    async with installed(database, clock, provider) as client:
        browser, _ = await come(client, provider, "sub-ada", ADA)
        only = await see(browser, "account")
        await browser.post("/auth/password/set", json={"new_password": PASSWORD})
        one_of_two = await see(browser, "account")

    assert ("your only way to sign in" in only, "Remove now" in only) == (True, False)
    assert ("your only way to sign in" in one_of_two, "Remove now" in one_of_two) == (False, True)


async def test_it_is_changed_after_a_recent_sign_in_alone(clock: FrozenClock, provider: Hostile, database: str) -> None:
    async with installed(database, clock, provider, reauthentication={"fresh": 60}) as client:
        await signed_in(client)
        await dance(client, intent="link")
        clock.tick(timedelta(minutes=2))
        page = await see(client, "account")

    assert "Remove now" not in page and "/start" not in page
    assert "to change linked accounts" in page


async def test_a_removal_that_is_refused_says_so_in_the_section(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider) as client:
        browser, _ = await come(client, provider, "sub-ada", ADA)
        [one] = (await browser.get("/auth/identities")).json()["identities"]
        refused = await post(browser, f"identities/{one['id']}", _method="DELETE")

    section = refused.text.partition('id="identities"')[2].partition("</section>")[0]
    assert refused.status_code == 409
    assert 'role="alert"' in section


async def test_an_account_of_a_provider_that_is_gone_is_shown_by_its_name(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        await signed_in(client)
        await dance(client, intent="link")
        del client.sigra.plugin(OAuth).providers["hostile"]
        page = await see(client, "account")
        again = await see(client, "reauthenticate")

    assert "<strong>hostile</strong> ada@example.com" in page
    assert "Remove now" in page and "/start" not in page
    assert "oauth" not in again


# Confirming, proving, signing out


async def test_who_has_linked_one_may_confirm_with_it(clock: FrozenClock, provider: Hostile, database: str) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        await signed_in(client)
        before = await see(client, "reauthenticate")
        await dance(client, intent="link")
        after = await see(client, "reauthenticate?next=/private")

    assert "oauth" not in before
    assert 'formaction="/auth/oauth/hostile/start?next=/private"' in after
    assert "Confirm with Somewhere" in after


async def test_the_page_of_a_proof_asks_for_what_is_missing(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        user = await make_user(client.sigra, ADA)
        await make_user(client.sigra, EVE)
        says(provider, "sub-ada", ADA)
        assert (await dance(client)).status_code == 202
        nobody = await see(client, "oauth/link")
        await client.post("/auth/login", json={"email": EVE, "password": PASSWORD})
        stranger = await see(client, "oauth/link")
        await client.post("/auth/logout")
        await client.sign_in(user)
        owner = await see(client, "oauth/link")
        linked = await post(client, "oauth/link")

    assert 'name="password"' in nobody and ADA in nobody
    assert f"<strong>{EVE}</strong>, which is another account" in stranger
    assert 'action="/auth/logout?next=/auth/oauth/link"' in stranger
    assert ">Link Somewhere</button>" in owner and 'name="password"' not in owner
    assert linked.status_code == 303


async def test_whose_sign_in_is_old_confirms_it_first_and_comes_back(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider, reauthentication={"fresh": 60}) as client:
        user = await make_user(client.sigra, ADA)
        says(provider, "sub-ada", ADA)
        await dance(client)
        await client.sign_in(user)
        clock.tick(timedelta(minutes=2))
        page = await see(client, "oauth/link")

    assert leads(page) == ["http://localhost/auth/reauthenticate?next=%2Fauth%2Foauth%2Flink"]


async def test_a_wrong_password_shows_the_page_of_the_proof_again(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra, ADA)
        says(provider, "sub-ada", ADA)
        await dance(client)
        response = await post(client, "oauth/link", password="not the password")

    assert response.status_code == 401
    assert title(response.text) == "Prove that the account is yours"
    assert response.text.count('role="alert"') == 1
    assert "not the password" not in response.text


async def test_another_address_is_asked_for_where_a_mail_is_waited_for(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider) as client:
        before = await see(client, "email/verify")
        says(provider, "sub-ada", ADA, verified=False)
        await dance(client)
        waits = await see(client, "email/verify")
        asked = await see(client, "oauth/address")
        refused = await post(client, "oauth/address", email="nonsense")
        given = await post(client, "oauth/address", email=EVE)
        changed = await see(client, "email/verify")

    assert ["Another address" in page for page in (before, waits)] == [False, True]
    assert f"The mail went to <strong>{ADA}</strong>." in waits
    assert f"The mail went to <strong>{EVE}</strong>." in changed
    assert "has not told us" not in asked
    assert (refused.status_code, title(refused.text)) == (422, "Your e-mail address")
    assert 'aria-invalid="true" value="nonsense"' in refused.text
    assert (given.status_code, given.headers["location"]) == (303, "/auth/email/verify")


async def test_who_proves_an_address_by_mail_goes_on_to_where_they_wanted(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider) as client:
        says(provider, "sub-ada", ADA, verified=False)
        await dance(client, next="/private?a=b")
        waits = await see(client, "email/verify")
        [onward] = set(re.findall(r'name="next" value="([^"]*)"', waits))
        proven = await post(client, "email/verify", token=(await mails(client)).token(), next=unescape(onward))
        there = await client.get(proven.headers["location"], headers=BROWSER)

    assert (proven.status_code, unescape(onward)) == (303, "/auth/login?done=email.verified&next=/private%3Fa%3Db")
    assert 'formaction="/auth/oauth/hostile/start?next=/private%3Fa%3Db"' in there.text


async def test_who_came_by_a_provider_may_sign_out_there_too(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    async with installed(database, clock, provider, entries={"label": "Somewhere"}) as client:
        browser, _ = await come(client, provider, "sub-ada", ADA)
        came = [await see(browser, path) for path in ("account", "login", "reauthenticate")]
        await signed_in(client, EVE)
        typed = await see(client, "account")
        left = await post(browser, "oauth/logout")

    assert ["Sign out here and at Somewhere" in page for page in (*came, typed)] == [True, True, True, False]
    assert f"{provider.issuer}/logout?" in left.text


async def test_where_a_provider_ends_no_sessions_none_are_promised(
    clock: FrozenClock, provider: Hostile, database: str
) -> None:
    def without(_: Any, told: Document) -> Document:
        return {name: value for name, value in told.items() if name != "end_session_endpoint"}

    provider.fault = Fault("ends no sessions", discovery=without)
    async with installed(database, clock, provider) as client:
        browser, _ = await come(client, provider, "sub-ada", ADA)
        page = await see(browser, "account")

    assert "Sign out here and at" not in page

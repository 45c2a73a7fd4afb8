"""The same for people: by forms, without a script."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from sigra.testing import Client, FrozenClock, make_user
from tests.apps import running
from tests.policies import Factor

MEMORY = "sqlite:///:memory:"
PLUGINS = ["defaults", "totp"]
HTML = {"accept": "text/html"}
STEP = timedelta(seconds=30)


def secret_in(page: str) -> str:
    """The secret that people type into an app."""
    found = re.search(r"<code>([A-Z2-7 ]{39})</code>", page)
    assert found, page
    return found[1].replace(" ", "")


async def post(client: Client, path: str, **fields: str) -> Any:
    """A form as a browser posts it."""
    return await client.post(f"/auth/{path}", data=fields or {"": ""}, headers=HTML)


async def account(client: Client) -> str:
    return (await client.get("/auth/account", headers=HTML)).text


async def test_an_app_is_set_up_and_removed_on_the_account_page(phones: Any) -> None:
    async with running(MEMORY, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        before = await account(client)
        begun = await post(client, "totp/enroll")
        phone = phones(f"otpauth://totp/x?secret={secret_in(begun.text)}")
        confirmed = await post(client, "totp/confirm", code=phone.code(client.sigra.clock()))
        after = await account(client)

    assert 'action="/auth/totp/enroll"' in before and "No app is set up." in before
    assert (begun.status_code, confirmed.status_code) == (200, 200)
    assert "<svg" in begun.text and f"secret={phone.secret}" in begun.text
    assert phone.secret not in confirmed.text
    assert len(re.findall(r"^(?:[A-Z2-7]{4}-){5}[A-Z2-7]{4}", confirmed.text, re.MULTILINE)) >= 9
    assert 'href="/auth/account"' in confirmed.text
    assert "An app is set up." in after and 'name="_method" value="DELETE"' in after


async def test_a_removal_comes_back_to_its_section_and_says_so(phones: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.add(client)
        clock.tick(STEP)
        await client.post("/auth/reauthenticate", json={"password": "correct horse battery staple"})
        await phone.prove(client)
        action = re.search(r'action="/auth/(totp\?next=[^"]+)"', await account(client))
        assert action
        removed = await post(client, action[1].replace("&amp;", "&"), _method="DELETE")
        shown = await client.get(removed.headers["location"], headers=HTML)

    assert (removed.status_code, removed.headers["location"]) == (303, "/auth/account?done=totp.removed#totp")
    assert "The authenticator app was removed." in shown.text


async def test_a_removal_by_a_session_from_before_goes_by_way_of_a_proof(phones: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        user = await make_user(client.sigra)
        before = Client(client.app, client.sigra)
        for browser in (before, client):
            await browser.sign_in(user)
        clock.tick()
        await phones.add(client)
        removed = await post(before, "totp", _method="DELETE")

    assert removed.status_code == 303
    assert removed.headers["location"].startswith("/auth/reauthenticate?next=")


async def test_a_session_that_is_not_fresh_is_sent_to_a_proof(phones: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        page = await account(client)
        begun = await post(client, "totp/enroll")

    assert 'action="/auth/totp/enroll"' not in page
    assert "setting one up needs a recent sign-in" in page
    assert (begun.status_code, begun.headers["location"]) == (303, "/auth/reauthenticate?next=%2Fauth%2Faccount")


@pytest.mark.parametrize(("code", "status"), [("000000", 401), ("9" * 65, 422)], ids=["wrong", "long"])
async def test_hc21_a_first_code_that_is_refused_may_be_typed_again_without_the_secret(
    phones: Any, code: str, status: int
) -> None:
    """A session that is not fresh any more, or not its owner's, would read the secret there."""
    async with running(MEMORY, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        begun = await post(client, "totp/enroll")
        secret = secret_in(begun.text)
        refused = await post(client, "totp/confirm", code=code)

    assert refused.status_code == status
    assert 'action="/auth/totp/confirm"' in refused.text and 'role="alert"' in refused.text
    assert secret not in refused.text and "<svg" not in refused.text
    assert code not in refused.text


@pytest.mark.parametrize("path", ["totp/enroll", "totp/confirm"])
async def test_what_does_not_fit_is_told_on_the_account_page(phones: Any, path: str) -> None:
    async with running(MEMORY, PLUGINS) as client:
        await client.sign_in(await make_user(client.sigra))
        if path == "totp/enroll":
            await phones.add(client)
        answer = await post(client, path, code="123456")

    assert answer.status_code == 409
    assert "<h1>Your account</h1>" in answer.text and 'role="alert"' in answer.text


@pytest.mark.parametrize("path", ["totp/enroll", "totp/confirm"])
async def test_nobody_is_asked_to_sign_in(path: str) -> None:
    async with running(MEMORY, PLUGINS) as client:
        answer = await post(client, path, code="123456")

    assert answer.status_code == 401
    assert "Sign in to continue." in answer.text and 'action="/auth/login"' in answer.text


# The challenge


async def test_a_code_is_asked_for_and_the_form_comes_back_when_it_is_wrong(phones: Any) -> None:
    clock = FrozenClock()
    async with running(MEMORY, PLUGINS, clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        phone = await phones.add(client)
        await client.sign_out()
        clock.tick(STEP)
        asked = await post(client, "login", email="ada@example.com", password="correct horse battery staple", next="/x")
        page = (await client.get(asked.headers["location"], headers=HTML)).text
        wrong = await post(client, "login/totp", code=phone.wrong(clock()))
        right = await post(client, "login/totp", code=phone.code(clock()), trust_browser="true")
        await client.sign_out()
        spared = await client.sign_in(user)

    assert asked.headers["location"] == "/auth/login/challenge"
    assert 'action="/auth/login/totp"' in page and 'autocomplete="one-time-code"' in page
    assert 'name="trust_browser"' in page
    assert wrong.status_code == 401
    assert "That was not right. Try again." in wrong.text and 'action="/auth/login/totp"' in wrong.text
    assert (right.status_code, right.headers["location"]) == (303, "/x")
    assert spared.status_code == 200


async def test_without_trusted_browsers_none_can_be_trusted(phones: Any) -> None:
    async with running(MEMORY, [*PLUGINS, "-trusted_browsers"]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await phones.add(client)
        await client.sign_out()
        await client.sign_in(user)
        page = (await client.get("/auth/login/challenge", headers=HTML)).text

    assert 'action="/auth/login/totp"' in page
    assert "trust_browser" not in page


async def test_another_factor_alone_is_no_place_for_a_code(phones: Any) -> None:
    async with running(MEMORY, [*PLUGINS, Factor()]) as client:
        await client.sign_in(await make_user(client.sigra))
        page = (await client.get("/auth/login/challenge", headers=HTML)).text

    assert "/auth/login/totp" not in page and "/auth/totp/enroll" not in page


# A sign-in that waits for a second factor to be added


async def test_a_sign_in_goes_on_by_way_of_the_codes_that_are_shown_once(phones: Any, demand: Any) -> None:
    async with running(MEMORY, [*PLUGINS, demand]) as client:
        await make_user(client.sigra)
        await post(client, "login", email="ada@example.com", password="correct horse battery staple", next="/x")
        page = (await client.get("/auth/login/challenge", headers=HTML)).text
        begun = await post(client, "totp/enroll")
        phone = phones(f"otpauth://totp/x?secret={secret_in(begun.text)}")
        wrong = await post(client, "totp/confirm", code=phone.wrong(client.sigra.clock()))
        confirmed = await post(client, "totp/confirm", code=phone.code(client.sigra.clock()))
        who = (await client.get("/auth/session")).json()

    assert 'action="/auth/totp/enroll"' in page
    assert wrong.status_code == 401
    assert 'action="/auth/totp/confirm"' in wrong.text
    assert confirmed.status_code == 200
    assert re.search(r"(?:[A-Z2-7]{4}-){5}[A-Z2-7]{4}", confirmed.text)
    assert 'href="/x"' in confirmed.text
    assert who["identity"]["assurance"] == "aal2"


async def test_without_codes_to_show_the_page_only_leads_on(phones: Any, demand: Any) -> None:
    async with running(MEMORY, [*PLUGINS, "-recovery_codes", demand]) as client:
        await make_user(client.sigra)
        await post(client, "login", email="ada@example.com", password="correct horse battery staple", next="/x")
        begun = await post(client, "totp/enroll")
        phone = phones(f"otpauth://totp/x?secret={secret_in(begun.text)}")
        confirmed = await post(client, "totp/confirm", code=phone.code(client.sigra.clock()))

    assert confirmed.status_code == 200
    assert 'href="/x"' in confirmed.text
    assert "recovery" not in confirmed.text
    assert client.signed_in


async def test_a_secret_that_waited_too_long_is_begun_anew_where_it_began(phones: Any, demand: Any) -> None:
    async with running(MEMORY, [*PLUGINS, demand]) as client:
        await make_user(client.sigra)
        await post(client, "login", email="ada@example.com", password="correct horse battery staple")
        answer = await post(client, "totp/confirm", code="123456")

    assert answer.status_code == 409
    assert "<h1>One more step</h1>" in answer.text
    assert "waits for its first code" in answer.text and 'action="/auth/totp/enroll"' in answer.text


async def test_a_sign_in_that_has_ended_begins_again(phones: Any, demand: Any) -> None:
    async with running(MEMORY, [*PLUGINS, demand]) as client:
        await make_user(client.sigra)
        await post(client, "login", email="ada@example.com", password="correct horse battery staple")
        begun = await post(client, "totp/enroll")
        phone = phones(f"otpauth://totp/x?secret={secret_in(begun.text)}")
        for _ in range(5):
            await post(client, "totp/confirm", code=phone.wrong(client.sigra.clock()))
        answer = await post(client, "totp/confirm", code=phone.code(client.sigra.clock()))

    assert answer.status_code == 401
    assert 'action="/auth/login"' in answer.text
    assert not client.signed_in

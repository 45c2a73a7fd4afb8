"""Against npm's `oidc-provider`, over HTTP: nothing here is played, and the clock is the one on the wall."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from sigra import Sigra
from sigra.testing import PASSWORD, make_user
from sigra_oauth import OAuth
from tests.oauth import oidc
from tests.oauth.browsing import Browser, Form, installed
from tests.oauth.dancing import NONE_TRUSTED, outcome
from tests.oauth.oidc import OIDC


@dataclass
class Scene:
    auth: Sigra
    origin: str
    provider: OIDC

    def browser(self) -> Browser:
        return Browser(self.origin)

    async def is_active(self, token: str) -> bool:
        """What the provider says of a token (RFC 7662)."""
        secret = (self.provider.client_id, self.provider.client_secret)
        async with httpx2.AsyncClient(trust_env=False, verify=NONE_TRUSTED) as client:
            url = f"{self.provider.issuer}/token/introspection"
            response = await client.post(url, data={"token": token}, auth=secret)
        return bool(response.json()["active"])


@asynccontextmanager
async def scene(database: str, more: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Scene]:
    """An application and its provider.

    Args:
        more: What the provider is told.
        options: Of the application's entry for it.
    """
    with ExitStack() as stack:
        found: list[OIDC] = []

        def configured(origin: str) -> dict[str, Any]:
            found.append(stack.enter_context(oidc.running(origin, **(more or {}))))
            return {"providers": {"oidc": found[0].options(label="Somewhere", **options)}}

        async with installed(database, configured) as (auth, origin):
            yield Scene(auth, origin, found[0])


async def identities(browser: Browser) -> list[dict[str, Any]]:
    return list((await browser.get("/auth/identities")).json()["identities"])


async def test_somebody_signs_up_and_signs_in(database: str) -> None:
    async with scene(database) as its, its.browser() as first, its.browser() as second:
        signed_up = await first.dance("ada")
        linked = await identities(first)
        await first.post("/auth/logout")
        signed_in = await first.dance("ada")
        elsewhere = await second.dance("ada")

    assert [outcome(one) for one in (signed_up, signed_in, elsewhere)] == ["accepted"] * 3
    assert {one.json()["user"]["id"] for one in (signed_up, signed_in, elsewhere)} == {signed_up.json()["user"]["id"]}
    assert (signed_up.json()["user"]["email"], signed_up.json()["user"]["name"]) == ("ada@example.com", "Ada Lovelace")
    assert signed_up.json()["user"]["email_verified"] is True
    assert [(one["provider"], one["label"]) for one in linked] == [("oidc", "Somewhere")]


async def test_a_browser_goes_on_to_where_it_wanted(database: str) -> None:
    async with scene(database) as its, its.browser() as browser:
        url = await browser.start(next="/private")
        browser.headers["accept"] = "text/html"
        landed = await browser.sign_in_there(url)

    assert (landed.url.path, landed.json()) == ("/private", {"email": "ada@example.com"})


async def test_an_address_that_is_not_verified_signs_nobody_in(database: str) -> None:
    async with scene(database) as its, its.browser() as browser:
        await make_user(its.auth)
        response = await browser.dance("eve")
        session = await browser.session()

    assert (outcome(response), session) == ("unverified", None)


async def test_who_has_no_address_there_is_asked_for_one(database: str) -> None:
    async with scene(database) as its, its.browser() as browser:
        asked = await browser.dance("nobody")
        given = await browser.post("/auth/oauth/address", json={"email": "grace@example.com"})

    assert [outcome(one) for one in (asked, given)] == ["unverified"] * 2


async def test_who_cancels_is_told_so(database: str) -> None:
    async with scene(database) as its, its.browser() as browser:
        page = await browser.get(await browser.start())
        response = await browser.get(f"{page.url}/abort")

    assert (response.status_code, outcome(response)) == (403, "oauth_denied")


async def test_somebody_links_it_and_signs_in_by_it(database: str) -> None:
    async with scene(database) as its, its.browser() as browser:
        user = await make_user(its.auth, "grace@example.com")
        await browser.post("/auth/login", json={"email": user.email, "password": PASSWORD})
        linked = await browser.dance("ada", intent="link")
        listed = await identities(browser)
        await browser.post("/auth/logout")
        signed_in = await browser.dance("ada")

    assert linked.is_success, linked.text
    assert [one["provider"] for one in listed] == ["oidc"]
    assert signed_in.json()["user"]["email"] == "grace@example.com"


async def test_who_is_to_prove_it_again_is_asked_again_there(database: str) -> None:
    async with scene(database) as its, its.browser() as browser:
        await browser.dance("ada")
        before = await browser.session()
        url = await browser.start(intent="reauthenticate")
        asked = Form((await browser.get(url)).text).fields
        proven = await browser.dance("ada", intent="reauthenticate")
        after = await browser.session()

    assert asked["prompt"] == "login"
    assert outcome(proven) == "accepted"
    assert before and after and before["id"] != after["id"]


async def test_access_tokens_are_refreshed_and_end_with_the_link(database: str) -> None:
    async with scene(database, {"lifetime": 30}, keep_tokens=True) as its, its.browser() as browser:
        await browser.dance("ada")
        user = await its.auth.users.by_email("ada@example.com")
        assert user is not None
        oauth = its.auth.plugin(OAuth)
        first, second = [await oauth.access_token(user, "oidc") for _ in range(2)]
        held = [await its.is_active(first), await its.is_active(second)]
        await browser.post("/auth/password/set", json={"new_password": PASSWORD})
        [linked] = await identities(browser)
        removed = await browser.delete(f"/auth/identities/{linked['id']}")
        await its.auth.worker.work()
        ended = await its.is_active(second)

    # A token that lives for half a minute is always about to expire, and each refresh token is good for one use.
    assert first != second
    assert held[1]
    assert removed.is_success, removed.text
    assert not ended


async def sign_out_there(browser: Browser, url: str) -> httpx2.Response:
    """At the provider's own page."""
    return await browser.submit(await browser.get(url), logout="yes")


async def test_a_sign_out_there_ends_the_sessions_of_that_browser(database: str) -> None:
    async with scene(database) as its, its.browser() as first, its.browser() as second, its.browser() as third:
        for browser in (first, second):
            assert outcome(await browser.dance("ada")) == "accepted"
        await first.post("/auth/password/set", json={"new_password": PASSWORD})
        await third.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        before = [await browser.session() is not None for browser in (first, second, third)]
        await sign_out_there(first, f"{its.provider.issuer}/session/end")
        after = [await browser.session() is not None for browser in (first, second, third)]

    assert (before, after) == ([True] * 3, [False, True, True])


async def test_a_sign_out_here_ends_the_session_there(database: str) -> None:
    async with scene(database) as its, its.browser() as browser:
        await browser.dance("ada")
        signed_out = await browser.post("/auth/oauth/logout", json={})
        here = await browser.session()
        back = await sign_out_there(browser, signed_out.json()["logout_url"])
        again = await browser.get(await browser.start())

    assert (signed_out.status_code, here) == (200, None)
    assert str(back.url) == f"{its.origin}/auth/login"
    assert 'name="login"' in again.text

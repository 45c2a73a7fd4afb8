"""Signing out here, and at the provider that the session came of."""

from __future__ import annotations

from typing import Any

import pytest

from sigra.testing import Client, FrozenClock, make_user
from tests.apps import running
from tests.oauth.changes import without
from tests.oauth.dancing import configured, dance, query_of
from tests.oauth.fault import Fault
from tests.oauth.hostile import Hostile

PLUGINS = ["defaults", "oauth"]
PATH = "/auth/oauth/logout"


async def is_signed_in(client: Client) -> bool:
    return (await client.get("/auth/session")).status_code == 200


async def test_a_program_is_told_where_to_end_the_session_there(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        answer = await client.post(PATH, json={})
        after = await is_signed_in(client)
        url, sent = answer.json()["logout_url"], query_of(answer.json()["logout_url"])

    assert answer.status_code == 200
    assert url.startswith(f"{provider.issuer}/logout?")
    assert sent["post_logout_redirect_uri"] == "http://localhost/auth/login"
    assert sent["client_id"] == "sigra"
    assert sent["id_token_hint"].count(".") == 2
    assert (after, client.signed_in) == (False, False)


async def test_a_form_is_sent_there(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        answer = await client.post(PATH, data={"next": "/"})
        after = await is_signed_in(client)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{provider.issuer}/logout?")
    assert (after, client.signed_in) == (False, False)


async def test_a_form_on_a_page_of_ours_is_sent_there_by_a_page(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        answer = await client.post(PATH, data={"page": "true"})
        after = await is_signed_in(client)

    assert answer.status_code == 200
    assert f"{provider.issuer}/logout?" in answer.text
    assert (after, client.signed_in) == (False, False)


@pytest.mark.parametrize("face", ["json", "data"])
async def test_a_session_that_came_of_no_provider_ends_here(
    database: str, clock: FrozenClock, provider: Hostile, face: str
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await client.sign_in_as(await make_user(client.sigra))
        answer = await client.post(PATH, **{face: {"next": "/there"}})
        after = await is_signed_in(client)

    if face == "json":
        assert (answer.status_code, answer.json()) == (200, {"logout_url": None})
    else:
        assert (answer.status_code, answer.headers["location"]) == (303, "/there")
    assert after is False


async def test_a_provider_without_a_place_for_it_is_let_be(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    provider.fault = Fault("has no sign-out", discovery=without("end_session_endpoint"))
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        answer = await client.post(PATH, json={})
        after = await is_signed_in(client)

    assert (answer.status_code, answer.json()) == (200, {"logout_url": None})
    assert after is False


class Away:
    """A provider that does not answer."""

    def __init__(self, provider: Any) -> None:
        self.usual = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self.usual, name)

    async def logout_url(self, id_token: str | None, back: str) -> str | None:
        from sigra_oauth.errors import OAuthUnavailable

        raise OAuthUnavailable("it is away")


@pytest.mark.parametrize("face", ["json", "data"])
async def test_hc45_a_session_ends_here_whatever_its_provider_says(
    database: str, clock: FrozenClock, provider: Hostile, face: str
) -> None:
    from sigra_oauth import OAuth

    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        providers: dict[str, Any] = client.sigra.plugin(OAuth).providers
        providers["hostile"] = Away(providers["hostile"])
        answer = await client.post(PATH, **{face: {"page": ""} if face == "data" else {}})
        after = await is_signed_in(client)

    assert answer.status_code == (200 if face == "json" else 303)
    assert after is False


async def test_nobody_without_a_session_signs_out(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        answer = await client.post(PATH, json={})

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_hc35_another_sites_page_signs_nobody_out(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        foreign = client.as_browser(site="cross-site", origin="https://elsewhere.example")
        answer = await foreign.post(PATH, data={})
        after = await is_signed_in(client)

    assert (answer.status_code, after) == (403, True)


async def test_after_a_sign_out_the_session_there_says_nothing_about_another(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
        await dance(client)
        await client.post(PATH, json={})
        user = await client.sigra.users.by_email("ada@example.com")
        assert user is not None
        await client.sign_in_as(user)
        answer = await client.post(PATH, json={})

    assert answer.json() == {"logout_url": None}

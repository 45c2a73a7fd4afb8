"""Google, GitHub, Apple, Microsoft and a plain issuer, each played under its own name: the whole dance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from sigra.testing import Client, FrozenClock, make_user
from tests.apps import running
from tests.oauth.dancing import answered, come_back, counted, outcome, query_of, start
from tests.oauth.playing import TENANT, Apple, GitHub, Google, Microsoft, Scene, cast, hosts_of, playing

PLUGINS = ["defaults", "oauth"]
BASE = "https://localhost"
HERE = ["127.0.0.1"]


def callback(name: str) -> str:
    return f"{BASE}/auth/oauth/{name}/callback"


@asynccontextmanager
async def on_stage(
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    clock: FrozenClock,
    hosts: Mapping[str, ASGIApp],
    **providers: dict[str, Any],
) -> AsyncIterator[tuple[Client, Scene]]:
    """An application over https, which finds the providers where they are played."""
    with playing(hosts) as scene:
        scene.directed(monkeypatch)
        options = {"providers": providers, "allow_private": HERE}
        async with running(database, PLUGINS, clock=clock, https=True, oauth=options) as client:
            yield client, scene


async def there_and_back(client: Client, scene: Scene, name: str, **body: Any) -> httpx2.Response:
    url = await start(client, name, **body)
    return await come_back(client, await answered(url, scene.browser()))


def landed(response: httpx2.Response) -> tuple[int, str | None]:
    """What a form is answered: the status, and where the browser goes on."""
    return response.status_code, response.headers.get("location")


async def identities(client: Client) -> list[dict[str, Any]]:
    return list((await client.get("/auth/identities")).json()["identities"])


async def test_google(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FrozenClock()
    google = cast(Google, clock, callback("google"))
    options = {"preset": "google", "client_id": google.client_id, "client_secret": google.client_secret}
    async with on_stage(database, monkeypatch, clock, hosts_of(google), google=options) as (client, scene):
        url = await start(client, "google")
        first = await come_back(client, await answered(url, scene.browser()))
        linked = await identities(client)
        client.cookies.clear()
        second = await there_and_back(client, scene, "google")
        counts = await counted(client)

    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert google.complaints == []
    assert [outcome(one) for one in (first, second)] == ["accepted"] * 2
    assert first.json()["user"]["email"] == "ada@example.com"
    assert [(one["provider"], one["label"], one["email"]) for one in linked] == [
        ("google", "Google", "ada@example.com")
    ]
    assert counts == {"sigra_users": 1, "sigra_sessions": 2, "sigra_oauth_identities": 1}


async def test_github(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FrozenClock()
    github = GitHub(clock, callback("github"))
    async with on_stage(database, monkeypatch, clock, github.hosts(), github=github.options()) as (client, scene):
        first = await there_and_back(client, scene, "github")
        client.cookies.clear()
        github.user["login"], github.emails[1]["email"] = "countess", "countess@example.com"
        renamed = await there_and_back(client, scene, "github")
        client.cookies.clear()
        github.user["id"], github.user["login"] = 99, "ada"
        another = await there_and_back(client, scene, "github")
        counts = await counted(client)

    assert github.complaints == []
    assert [outcome(one) for one in (first, renamed, another)] == ["accepted"] * 3
    assert [one.json()["user"]["email"] for one in (first, renamed, another)] == [
        "ada@example.com",
        "ada@example.com",
        "countess@example.com",
    ]
    assert counts == {"sigra_users": 2, "sigra_sessions": 3, "sigra_oauth_identities": 2}


@pytest.mark.parametrize(
    "emails",
    [
        [{"email": "ada@example.com", "primary": True, "verified": False}],
        [{"email": "ada@example.com", "primary": True, "verified": "true"}],
        [
            {"email": "ada@example.com", "primary": True, "verified": False},
            {"email": "eve@example.com", "primary": False, "verified": True},
        ],
    ],
)
async def test_hc02_an_address_that_github_has_not_verified_signs_nobody_in(
    database: str, monkeypatch: pytest.MonkeyPatch, emails: list[dict[str, Any]]
) -> None:
    clock = FrozenClock()
    github = GitHub(clock, callback("github"), emails=emails)
    github.user["email"] = "ada@example.com"
    async with on_stage(database, monkeypatch, clock, github.hosts(), github=github.options()) as (client, scene):
        await make_user(client.sigra)
        response = await there_and_back(client, scene, "github")
        counts = await counted(client)

    assert outcome(response) == "unverified"
    assert counts == {"sigra_users": 1, "sigra_sessions": 0, "sigra_oauth_identities": 0}


async def test_githubs_errors_come_as_answers_and_are_errors(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FrozenClock()
    github = GitHub(clock, callback("github"))
    async with on_stage(database, monkeypatch, clock, github.hosts(), github=github.options()) as (client, scene):
        callback_of = await answered(await start(client, "github"), scene.browser())
        github.codes.clear()
        response = await come_back(client, callback_of)

    assert (response.status_code, outcome(response)) == (400, "oauth_failed")


async def test_apple(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FrozenClock()
    apple = cast(Apple, clock, callback("apple"))
    async with on_stage(database, monkeypatch, clock, hosts_of(apple), apple=apple.options()) as (client, scene):
        url = await start(client, "apple")
        cookies = list(client.cookies.jar)
        posted = await answered(url, scene.browser())
        first = await come_back(client, posted)
        client.cookies.clear()
        second = await there_and_back(client, scene, "apple")
        session = (await client.get("/auth/session")).json()
        again = await come_back(client, posted)

    assert query_of(url)["response_mode"] == "form_post"
    assert posted.method == "POST"
    # A form that another site posts brings no other cookie.
    assert [(one.secure, one.get_nonstandard_attr("SameSite")) for one in cookies] == [(True, "None")]
    assert apple.complaints == []
    assert [landed(one) for one in (first, second, again)] == [(303, "/auth/account")] * 2 + [(400, None)]
    assert (session["user"]["email"], session["user"]["name"]) == ("ada@example.com", "Ada Lovelace")


async def test_apple_says_by_text_what_counts_as_unsaid(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is no explicit true, though older answers of Apple's have one."""
    clock = FrozenClock()
    apple = cast(Apple, clock, callback("apple"))
    apple.person["email_verified"] = "true"
    async with on_stage(database, monkeypatch, clock, hosts_of(apple), apple=apple.options()) as (client, scene):
        response = await there_and_back(client, scene, "apple")

    assert landed(response) == (303, "/auth/email/verify")


async def test_who_cancels_at_apple_is_told_so(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FrozenClock()
    apple = cast(Apple, clock, callback("apple"))
    async with on_stage(database, monkeypatch, clock, hosts_of(apple), apple=apple.options()) as (client, _):
        state = query_of(await start(client, "apple"))["state"]
        cancelled = httpx2.Request("POST", apple.callback, data={"state": state, "error": "user_cancelled_authorize"})
        response = await come_back(client, cancelled)

    assert landed(response) == (403, None)
    assert "You have not allowed it at the provider." in response.text


def microsoft_options(microsoft: Microsoft, **more: Any) -> dict[str, Any]:
    known = {"client_id": microsoft.client_id, "client_secret": microsoft.client_secret}
    return {"preset": "microsoft", **known, **more}


async def test_microsoft(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FrozenClock()
    microsoft = cast(Microsoft, clock, callback("microsoft"))
    microsoft.person["xms_edov"] = True
    options = microsoft_options(microsoft)
    async with on_stage(database, monkeypatch, clock, hosts_of(microsoft), microsoft=options) as (client, scene):
        first = await there_and_back(client, scene, "microsoft")
        client.cookies.clear()
        microsoft.tenant = "00000000-1111-2222-3333-444444444444"
        foreign = await there_and_back(client, scene, "microsoft")
        counts = await counted(client)

    assert microsoft.complaints == []
    assert outcome(first) == "accepted"
    # The same subject in another tenant is somebody else, whose address has an account.
    assert (foreign.status_code, foreign.json()["challenges"][0]["kind"]) == (202, "link")
    assert counts == {"sigra_users": 1, "sigra_sessions": 1, "sigra_oauth_identities": 1}


@pytest.mark.parametrize("claims", [{}, {"xms_edov": "true"}, {"xms_edov": 1}, {"xms_edov": False}], ids=str)
async def test_hc02_an_address_of_microsofts_is_anybodys_word(
    database: str, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any]
) -> None:
    """`email` and `email_verified` are what a tenant's administrator types (nOAuth)."""
    clock = FrozenClock()
    microsoft = cast(Microsoft, clock, callback("microsoft"))
    microsoft.person |= claims
    options = microsoft_options(microsoft)
    async with on_stage(database, monkeypatch, clock, hosts_of(microsoft), microsoft=options) as (client, scene):
        await make_user(client.sigra)
        response = await there_and_back(client, scene, "microsoft")
        counts = await counted(client)

    assert outcome(response) == "unverified"
    assert counts == {"sigra_users": 1, "sigra_sessions": 0, "sigra_oauth_identities": 0}


@pytest.mark.parametrize(
    "claims",
    [
        {"tid": "00000000-1111-2222-3333-444444444444"},
        {"iss": "https://login.microsoftonline.com/{tenantid}/v2.0"},
        {"iss": f"https://login.example.com/{TENANT}/v2.0"},
        {"tid": None},
        {"tid": f"{TENANT}/v2.0"},
    ],
    ids=["tenant", "template", "host", "none", "path"],
)
async def test_hc29_a_tenant_that_is_not_its_issuers_signs_nobody_in(
    database: str, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any]
) -> None:
    clock = FrozenClock()
    microsoft = cast(Microsoft, clock, callback("microsoft"))
    microsoft.person |= {"xms_edov": True, **claims}
    options = microsoft_options(microsoft)
    async with on_stage(database, monkeypatch, clock, hosts_of(microsoft), microsoft=options) as (client, scene):
        response = await there_and_back(client, scene, "microsoft")
        counts = await counted(client)

    assert outcome(response) == "oauth_failed"
    assert counts["sigra_users"] == 0

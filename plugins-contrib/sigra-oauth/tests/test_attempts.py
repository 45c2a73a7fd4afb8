"""Attempts: bound to browser, provider, purpose and user, once, for ten minutes; and what comes in place of answers."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from sigra.testing import Client, FrozenClock, make_user
from sigra_oauth.attempts import LIFETIME, MOST
from tests.oauth import hostile
from tests.oauth.cases import ADA, BROWSER, EVE, come, installed, kinds_of, other, owners, rows, says, who
from tests.oauth.dancing import answered, come_back, counted, dance, outcome, query_of, start
from tests.oauth.hostile import Hostile

SERVED = "https://localhost"

NOBODY = {"sigra_users": 0, "sigra_sessions": 0, "sigra_oauth_identities": 0}


def of_attempts(client: Client) -> list[Any]:
    return [one for one in client.cookies.jar if "sigra-oauth-" in one.name]


# Bound


async def test_hc28_an_answer_is_for_the_browser_that_began(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """An attacker's callback in the victim's browser signs the victim in to nothing, and the other way round."""
    async with installed(database, clock, provider) as client:
        victim, attacker = other(client), other(client)
        callback = await answered(await start(attacker))
        await start(victim)
        elsewhere = await come_back(victim, callback)
        counts, asked = await counted(client), await who(victim)
        own = await come_back(attacker, callback)

    assert (elsewhere.status_code, outcome(elsewhere)) == (400, "oauth_expired")
    assert (counts, asked) == (NOBODY, None)
    assert outcome(own) == "accepted"


async def test_hc28_a_cookie_of_another_attempt_does_not_take_the_place_of_its_own(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """By whoever can set cookies, under the name that the attacker's `state` asks for."""
    async with installed(database, clock, provider) as client:
        victim, attacker = other(client), other(client)
        callback = await answered(await start(attacker))
        await start(victim)
        [name], [value] = [one.name for one in of_attempts(attacker)], [one.value for one in of_attempts(victim)]
        victim.cookies.set(name, value, domain="localhost.local", path="/")
        response = await come_back(victim, callback)

    assert outcome(response) == "oauth_expired"
    assert provider.calls["token"] == 0


async def test_hc28_an_answer_is_for_the_provider_that_was_asked(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    with hostile.running(clock, name="hostile2") as second:
        async with installed(database, clock, provider, second) as client:
            callback = await answered(await start(client))
            url = str(callback.url).replace("/hostile/", "/hostile2/")
            response = await client.get(url)

    assert outcome(response) == "oauth_expired"
    assert (provider.calls["token"], second.calls["token"]) == (0, 0)


async def test_hc28_an_answer_is_taken_once(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        callback = await answered(await start(client))
        cookies = of_attempts(client)
        first = await come_back(client, callback)
        left = of_attempts(client)
        for one in cookies:
            client.cookies.jar.set_cookie(one)
        second = await come_back(client, callback)
        attempts, counts = await rows(client, "sigra_oauth_attempts"), await counted(client)

    assert (outcome(first), outcome(second)) == ("accepted", "oauth_expired")
    assert (left, attempts, counts["sigra_sessions"]) == ([], [], 1)
    assert provider.calls["token"] == 1


async def test_hc28_an_attempt_lasts_ten_minutes(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        in_time, late = [await answered(await start(one)) for one in (client, client)]
        clock.tick(LIFETIME - timedelta(seconds=1))
        first = await come_back(client, in_time)
        clock.tick(timedelta(seconds=1))
        second = await come_back(client, late)

    assert timedelta(minutes=10) == LIFETIME
    assert [outcome(one) for one in (first, second)] == ["accepted", "oauth_expired"]


async def test_hc28_an_answer_links_for_who_began_it_and_nobody_else(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Begun as one, signed out, signed in as another: nothing changes for either."""
    async with installed(database, clock, provider) as client:
        ada, eve = await make_user(client.sigra), await make_user(client.sigra, EVE)
        await client.sign_in(ada)
        callback = await answered(await start(client, intent="link"))
        await client.sign_out()
        await client.sign_in(eve)
        response = await come_back(client, callback)
        owned, asked = await owners(client), await who(client)

    assert outcome(response) == "oauth_expired"
    assert (owned, asked) == ({}, EVE)


async def test_hc28_linking_ends_with_the_session_that_began_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        callback = await answered(await start(client, intent="link"))
        await client.sign_out()
        await client.sign_in(user)
        response = await come_back(client, callback)
        owned = await owners(client)

    assert (outcome(response), owned) == ("oauth_expired", {})


async def test_hc08_linking_ends_with_all_that_was_issued(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        callback = await answered(await start(client, intent="link"))
        await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, user, "test"))
        response = await come_back(client, callback)
        owned = await owners(client)

    assert (outcome(response), owned) == ("oauth_expired", {})


async def test_hc08_what_is_proven_after_a_change_is_not_worth_what_it_was(
    database: str, clock: FrozenClock, provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading who it is and signing in, the account is disabled."""
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-ada", ADA)
        users = client.sigra.users
        found = await users.by_email(ADA)
        assert found
        callback = await answered(await start(client))
        before = await counted(client)
        await client.sigra.db.transaction(lambda tx: users.bump_security_version(tx, found))

        async def stale(*_: Any) -> Any:
            return found

        monkeypatch.setattr(users, "by_id", stale)
        response = await come_back(client, callback)
        monkeypatch.undo()
        after = await counted(client)

    assert (response.status_code, after) == (401, before)


# Two tabs


async def test_hc28_two_tabs_at_once_both_sign_in(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-ada", ADA)
        says(provider, "sub-ada", ADA)
        callbacks = [await answered(await start(client)) for _ in range(2)]
        answers = await asyncio.gather(*(come_back(client, one) for one in callbacks))
        asked, left = await who(client), of_attempts(client)

    assert [outcome(one) for one in answers] == ["accepted"] * 2
    assert (asked, left) == (ADA, [])


async def test_hc28_two_tabs_at_once_make_one_account_and_both_sign_in(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        callbacks = [await answered(await start(client)) for _ in range(2)]
        answers = await asyncio.gather(*(come_back(client, one) for one in callbacks))
        counts = await counted(client)

    assert [outcome(one) for one in answers] == ["accepted"] * 2
    assert counts == {"sigra_users": 1, "sigra_sessions": 2, "sigra_oauth_identities": 1}


@pytest.mark.parametrize("own", [True, False], ids=["own", "another's"])
async def test_hc32_a_session_that_began_meanwhile_ends_with_its_cookie(
    own: bool, database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-ada", ADA)
        ada = await client.sigra.users.by_email(ADA)
        client.cookies.clear()
        says(provider, "sub-ada", ADA)
        callback = await answered(await start(client))
        await client.sign_in(ada if own else await make_user(client.sigra, EVE))
        cookies = dict(client.cookies)
        answer = await come_back(client, callback)
        asked = await who(client)
        client.cookies.clear()
        client.cookies.update(cookies)
        left = await who(client)

    assert outcome(answer) == "accepted"
    assert (asked, left) == (ADA, None)


async def test_hc04_of_two_providers_at_once_that_tell_one_address_one_makes_the_account(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    with hostile.running(clock, name="hostile2") as second:
        async with installed(database, clock, provider, second) as client:
            callbacks = [await answered(await start(client, name)) for name in ("hostile", "hostile2")]
            answers = await asyncio.gather(*(come_back(client, one) for one in callbacks))
            counts = await counted(client)

    assert sorted(one.status_code for one in answers) == [200, 202]
    assert [kinds_of(one) for one in answers if one.status_code == 202] == [["link"]]
    assert counts == {"sigra_users": 1, "sigra_sessions": 1, "sigra_oauth_identities": 1}


async def test_hc28_two_tabs_at_once_wait_for_one_proof(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        says(provider, "sub-ada", ADA, False)
        callbacks = [await answered(await start(client)) for _ in range(2)]
        answers = await asyncio.gather(*(come_back(client, one) for one in callbacks))
        counts = await counted(client)

    assert [outcome(one) for one in answers] == ["unverified"] * 2
    assert counts == NOBODY


async def test_hc28_two_tabs_one_after_the_other_both_link(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """The first gives the session a new id, under which the second goes on."""
    async with installed(database, clock, provider) as client:
        await client.sign_in(await make_user(client.sigra))
        callbacks = []
        for sub in ("sub-1", "sub-2"):
            says(provider, sub, EVE)
            callbacks.append(await answered(await start(client, intent="link")))
        statuses = []
        for sub, callback in zip(("sub-1", "sub-2"), callbacks, strict=True):
            says(provider, sub, EVE)
            statuses.append((await come_back(client, callback)).status_code)
        owned, asked = await owners(client), await who(client)

    assert statuses == [204, 204]
    assert (owned, asked) == ({"sub-1": ADA, "sub-2": ADA}, ADA)


async def test_hc28_two_tabs_at_once_both_link(database: str, clock: FrozenClock, provider: Hostile) -> None:
    with hostile.running(clock, name="hostile2") as second:
        async with installed(database, clock, provider, second) as client:
            await client.sign_in(await make_user(client.sigra))
            says(second, "sub-2", EVE)
            callbacks = [await answered(await start(client, name, intent="link")) for name in ("hostile", "hostile2")]
            answers = await asyncio.gather(*(come_back(client, one) for one in callbacks))
            owned = await owners(client)

    assert [one.status_code for one in answers] == [204, 204]
    assert owned == {"sub-ada": ADA, "sub-2": ADA}


async def test_hc28_a_tab_goes_on_after_the_other_has_proven_it_again(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        callback = await answered(await start(client, intent="link"))
        await client.sign_in(user)
        response = await come_back(client, callback)

    assert response.status_code == 204


# Cookies


async def test_hc34_the_cookie_of_an_attempt_comes_back_with_a_link_alone(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        response = await client.post("/auth/oauth/hostile/start", json={})

    [cookie] = response.headers.get_list("set-cookie")
    name, _, attributes = cookie.partition("; ")
    assert name.startswith("sigra-oauth-")
    assert sorted(attributes.split("; ")) == ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax"]


@pytest.mark.parametrize(
    ("by_form", "expected"),
    [(False, ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax", "Secure"]),
     (True, ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=None", "Secure"])],
    ids=["link", "form"],
)  # fmt: skip
async def test_hc34_over_https_the_cookie_is_of_this_host_alone(
    database: str, clock: FrozenClock, by_form: bool, expected: list[str]
) -> None:
    with hostile.running(clock, base_url=SERVED) as provider:
        async with installed(database, clock, provider, by_form=by_form, https=True) as client:
            response = await client.post("/auth/oauth/hostile/start", json={})

    [cookie] = response.headers.get_list("set-cookie")
    name, _, attributes = cookie.partition("; ")
    assert name.startswith("__Host-sigra-oauth-")
    assert sorted(attributes.split("; ")) == expected


async def test_hc31_a_form_of_a_foreign_page_brings_the_cookie_of_its_attempt_and_no_other(
    database: str, clock: FrozenClock
) -> None:
    """As a browser sends it: `Origin: null`, from elsewhere, without any cookie that is not for that."""
    with hostile.running(clock, base_url=SERVED) as provider:
        async with installed(database, clock, provider, by_form=True, https=True) as client:
            user = await make_user(client.sigra)
            await client.sign_in(user)
            posted = await answered(await start(client, intent="link"))
            sent_along = [one for one in client.cookies.jar if one.get_nonstandard_attr("SameSite") in ("none", "None")]
            form = {one.name: one.value for one in sent_along}
            page = Client(client.app, client.sigra)
            for name, value in form.items():
                page.cookies.set(name, value, domain="localhost.local", path="/")
            response = await come_back(page, posted, **{"origin": "null", "sec-fetch-site": "cross-site"})
            owned, asked = await owners(client), await who(page)

    assert posted.method == "POST"
    assert len(form) == 1
    assert (response.status_code, response.headers["location"]) == (
        303,
        "/auth/account?done=identity.linked#identities",
    )
    assert (owned, asked) == ({"sub-ada": ADA}, ADA)


async def test_hc35_a_cookie_of_a_session_is_not_looked_at_in_a_callback(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Somebody who is signed in is led to the callback of an attempt that began without a session."""
    async with installed(database, clock, provider) as client:
        callback = await answered(await start(client))
        await client.sign_in(await make_user(client.sigra, EVE))
        response = await come_back(client, callback)
        owned = await owners(client)

    assert (outcome(response), owned) == ("accepted", {"sub-ada": ADA})


async def test_hc28_a_browser_has_five_attempts_and_the_oldest_gives_way(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        callbacks = []
        for _ in range(MOST + 2):
            callbacks.append(await answered(await start(client)))
            clock.tick(timedelta(seconds=1))
        held = len(of_attempts(client))
        answers = [outcome(await come_back(client, one)) for one in callbacks]

    assert (MOST, held) == (5, 5)
    assert answers == ["oauth_expired"] * 2 + ["accepted"] * 5


async def test_attempts_that_expired_are_swept(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        await start(client)
        clock.tick(LIFETIME)
        await start(client)
        clock.tick(timedelta(hours=1) - LIFETIME)
        await start(client)
        while await client.sigra.worker.work():
            pass
        left = await rows(client, "sigra_oauth_attempts")

    assert len(left) == 1


# What is sent instead


async def test_hc31_head_of_a_callback_changes_nothing(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        callback = await answered(await start(client))
        looked = await client.head(str(callback.url))
        before = await counted(client)
        response = await come_back(client, callback)

    assert (looked.status_code, looked.content, "set-cookie" in looked.headers) == (200, b"", False)
    assert (before, outcome(response)) == (NOBODY, "accepted")


async def test_hc31_a_reload_shows_that_it_is_over(database: str, clock: FrozenClock, provider: Hostile) -> None:
    async with installed(database, clock, provider) as client:
        succeeded = await answered(await start(client))
        await come_back(client, succeeded)
        failed = await answered(await start(client))
        provider.codes.clear()
        first = await come_back(client, failed)
        answers = [await come_back(client, one, **more) for one in (succeeded, failed) for more in ({}, BROWSER)]
        asked = await who(client)

    assert outcome(first) == "oauth_failed"
    assert [outcome(one) for one in answers[::2]] == ["oauth_expired"] * 2
    assert [(one.status_code, one.headers["content-type"]) for one in answers[1::2]] == [
        (400, "text/html; charset=utf-8")
    ] * 2
    assert all("Begin again" in one.text for one in answers[1::2])
    assert asked == ADA


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("access_denied", 403, "oauth_denied"),
        ("server_error", 503, "oauth_unavailable"),
        ("temporarily_unavailable", 503, "oauth_unavailable"),
        ("invalid_scope", 400, "oauth_failed"),
        ("<script>alert(1)</script>", 400, "oauth_failed"),
        ("", 400, "oauth_failed"),
    ],
)
async def test_hc31_an_error_of_the_provider_is_a_clear_answer(
    database: str, clock: FrozenClock, provider: Hostile, error: str, status: int, code: str
) -> None:
    async with installed(database, clock, provider) as client:
        answers = []
        for more in ({}, BROWSER):
            state = query_of(await start(client))["state"]
            told = {"state": state, "error": error, "error_description": "<b>it</b>", "iss": provider.issuer}
            answers.append(await client.get(f"/auth/oauth/hostile/callback?{urlencode(told)}", headers=more))
        counts = await counted(client)

    assert [one.status_code for one in answers] == [status] * 2
    assert (outcome(answers[0]), counts) == (code, NOBODY)
    assert answers[1].headers["content-type"].startswith("text/html")
    assert "<script>alert" not in answers[1].text
    assert "<b>it</b>" not in answers[1].text


def altered(url: str, **changes: str | list[str]) -> str:
    parts = urlsplit(url)
    told: dict[str, Any] = {**parse_qs(parts.query), **changes}
    return f"{parts.path}?{urlencode(told, doseq=True, errors='surrogatepass')}"


ODD: dict[str, dict[str, str | list[str]]] = {
    "state twice": {"state": ["x", "y"]},
    "state nul": {"state": "\0" * 55},
    "state empty": {"state": ""},
    "state surrogate": {"state": "\ud800"},
    "state huge": {"state": "a" * 65536},
    "state other digits": {"state": "٣" * 55},
    "code nul": {"code": "\0"},
    "code empty": {"code": ""},
    "code twice": {"code": ["x", "y"]},
    "code surrogate": {"code": "\ud800"},
    "code huge": {"code": "a" * 65536},
    "iss other": {"iss": "https://other.example.com"},
    "iss twice": {"iss": ["x", "y"]},
    "error too": {"error": "access_denied"},
    "error nul": {"error": "\0\n"},
    "user huge": {"user": "{" * 65536},
}


async def followed(client: Client, target: str) -> tuple[int, dict[str, Any]]:
    """A link that no client of ours would send, as a server passes it on."""
    path, _, query = target.partition("?")
    cookies = "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)
    headers = [(b"host", b"localhost"), (b"cookie", cookies.encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": client.address,
        "server": ("localhost", 80),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await client.app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(one.get("body", b"") for one in sent[1:]))


@pytest.mark.parametrize("odd", [name for name in ODD if name != "user huge"])
async def test_hc43_odd_parameters_of_a_link_are_refused(
    database: str, clock: FrozenClock, provider: Hostile, odd: str
) -> None:
    async with installed(database, clock, provider) as client:
        callback = await answered(await start(client))
        status, body = await followed(client, altered(str(callback.url), **ODD[odd]))
        counts = await counted(client)

    assert (status, body["code"]) in [(400, "oauth_expired"), (400, "oauth_failed"), (403, "oauth_denied")]
    assert counts == NOBODY


@pytest.mark.parametrize("odd", ODD)
async def test_hc43_odd_parameters_of_a_form_are_refused(
    database: str, clock: FrozenClock, provider: Hostile, odd: str
) -> None:
    async with installed(database, clock, provider) as client:
        callback = await answered(await start(client))
        _, _, query = altered(str(callback.url), **ODD[odd]).partition("?")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        response = await client.post("/auth/oauth/hostile/callback", content=query.encode(), headers=headers)
        counts = await counted(client)

    assert response.status_code in (400, 403, 413, 422)
    assert counts == NOBODY


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"state": 1}', b'{"state": ["a"]}', b"{", b'{"state": {}}'])
async def test_hc43_odd_bodies_of_a_callback_are_refused(
    database: str, clock: FrozenClock, provider: Hostile, body: bytes
) -> None:
    async with installed(database, clock, provider) as client:
        response = await client.post(
            "/auth/oauth/hostile/callback", content=body, headers={"content-type": "application/json"}
        )

    assert response.status_code in (400, 422)


@pytest.mark.parametrize("path", ["start", "callback", "backchannel-logout"])
async def test_a_provider_that_is_not_configured_is_not_found(
    database: str, clock: FrozenClock, provider: Hostile, path: str
) -> None:
    async with installed(database, clock, provider) as client:
        response = await client.post(f"/auth/oauth/another/{path}", data={"logout_token": "x"})
        shown = await client.get("/auth/oauth/another/callback")

    assert (response.status_code, shown.status_code) == (404, 404)


# Where it leads


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/private?a=1#b", "/private?a=1#b"),
        ("https://evil.example.com/", "/auth/account"),
        ("//evil.example.com", "/auth/account"),
        ("/\\evil.example.com", "/auth/account"),
        ("\\\\evil.example.com", "/auth/account"),
        ("/\t/evil.example.com", "/auth/account"),
        ("javascript:alert(1)", "/auth/account"),
        (None, "/auth/account"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("intent", ["login", "link", "reauthenticate"])
async def test_hc36_a_browser_goes_on_to_a_path_of_this_origin_alone(
    database: str, clock: FrozenClock, provider: Hostile, wanted: str | None, target: str, intent: str
) -> None:
    async with installed(database, clock, provider) as client:
        if intent != "login":
            assert outcome(await dance(client)) == "accepted"
        callback = await answered(await start(client, intent=intent, next=wanted))
        response = await come_back(client, callback, **BROWSER)

    assert response.status_code == 303
    assert response.headers["location"].replace("?done=identity.linked#identities", "") == target


@pytest.mark.parametrize("body", [{"next": "a" * 2049}, {"intent": "other"}, {"remember": "maybe"}])
async def test_hc09_odd_bodies_of_a_start_are_refused(
    database: str, clock: FrozenClock, provider: Hostile, body: Any
) -> None:
    async with installed(database, clock, provider) as client:
        response = await client.post("/auth/oauth/hostile/start", json=body)

    assert response.status_code == 422


async def test_a_session_outlives_the_browser_when_that_was_asked_for(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        forgotten, remembered = await dance(other(client)), await dance(client, remember=True)

    def session(response: httpx2.Response) -> str:
        return next(one for one in response.headers.get_list("set-cookie") if one.startswith("sigra="))

    assert "Max-Age" not in session(forgotten)
    assert "Max-Age" in session(remembered)


async def test_a_form_is_sent_to_the_provider_and_a_page_leads_there(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    async with installed(database, clock, provider) as client:
        sent = await client.post("/auth/oauth/hostile/start", data={"next": "/private"})
        shown = await client.post("/auth/oauth/hostile/start", data={"page": "true"})
        response = await come_back(client, await answered(sent.headers["location"]), **BROWSER)

    assert sent.status_code == 303
    assert sent.headers["location"].startswith(f"{provider.issuer}/authorize?")
    assert (shown.status_code, 'http-equiv="refresh"' in shown.text) == (200, True)
    assert response.headers["location"] == "/private"


async def test_hc31_a_form_posted_callback_answers_a_browser_by_pages(database: str, clock: FrozenClock) -> None:
    with hostile.running(clock, base_url=SERVED) as provider:
        async with installed(database, clock, provider, by_form=True, https=True) as client:
            await make_user(client.sigra)
            answers = []
            for sub, email, verified in (("a", EVE, True), ("b", ADA, True), ("c", ADA, False), ("d", None, True)):
                _, response = await come(client, provider, sub, email, verified)
                answers.append((response.status_code, response.headers["location"]))

    assert answers == [
        (303, "/auth/account"),
        (303, "/auth/oauth/link"),
        (303, "/auth/email/verify"),
        (303, "/auth/oauth/address"),
    ]

"""Every way to a session or a token, of every plugin, stops at the second factor; nothing else issues anything."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.routing import Route

from sigra.flows import Seam
from sigra.testing import EMAIL, Client
from tests.apps import Postbox
from tests.distributions.issuing import DEMANDED, LENIENT, WAYS, Issuing, by_a_new_app, by_unverified_passkey
from tests.distributions.policies import Asker
from tests.distributions.ways import House, outcome, post
from tests.exercised import looking_on, places
from tests.oauth.elsewhere import Strangers

PLUGINS = ("totp", "passkeys", "oauth")
A_UUID = "00000000-0000-4000-8000-000000000000"

every_way = pytest.mark.parametrize("way", WAYS, ids=[f"{way.prepare.__name__}-{way.name.split()[0]}" for way in WAYS])


@pytest.fixture
def sigra_database_url(database):
    return database


@pytest.fixture
def issued_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Method and path of each request that has got a credential."""
    seen: list[str] = []

    def look(seam: Seam, tx: Any, request: Any, login: Any) -> None:
        seen.append(f"{request.method} {request.url.path.removeprefix(seam.auth.settings.mount_path)}")

    monkeypatch.setattr(Seam, "_issue", Seam._issue)
    looking_on(Seam, "_issue", look)
    return seen


async def installed(house: Any, way: Issuing, *policies: Any) -> House:
    return await house(*PLUGINS, Strangers(), Postbox(), *policies, **way.options)


async def credentials_of(here: House, client: Client) -> tuple[Any, ...]:
    """What a browser has and the database holds."""
    own = [client.cookies.get(here.auth.settings.cookie_name(name)) for name in here.auth.cookies]
    return (*own, await here.count("sigra_sessions"), await here.count("sigra_api_keys"))


@every_way
async def test_every_way_issues_where_nothing_more_is_demanded(house, way, issued_at):
    here = await installed(house, way)
    client = here.client()
    asked = await way.prepare(here, client)
    issued_at.clear()
    answer = await way.go(client, asked)

    assert outcome(answer) == (200, "signed_in")
    assert issued_at == [way.place]
    assert (await client.get("/")).json()["user"] is not None


@every_way
async def test_hc10_every_way_stops_at_what_is_still_demanded(house, way, issued_at):
    asker = way.asker()
    here = await installed(house, way, asker)
    client = here.client()
    asked = await way.prepare(here, client)
    before = await credentials_of(here, client)
    issued_at.clear()
    answer = await way.go(client, asked)
    after = await credentials_of(here, client)

    assert outcome(answer) == (202, "challenge")
    assert {"kind": asker.kind, "methods": [asker.method]} in answer.json()["challenges"]
    assert issued_at == []
    assert before == after
    assert not answer.json().keys() & {"session", "user", "access_token", "refresh_token", "key"}
    assert outcome(await post(client, f"/login/{asker.method}", {"code": asker.code})) == (200, "signed_in")


async def test_hc10_a_passkey_that_did_not_verify_its_user_stops_at_the_second_factor(house, issued_at):
    way = Issuing("POST /login/passkey", by_unverified_passkey, options=LENIENT)
    here = await installed(house, way, Asker())
    client = here.client()
    path, body = await way.prepare(here, client)
    issued_at.clear()
    answer = await post(client, path, body)

    assert outcome(answer) == (202, "challenge")
    assert issued_at == []


async def test_hc10_a_factor_that_is_added_goes_round_none_that_is_there(house, issued_at):
    """Whoever has the password alone would add a factor of their own."""
    way = Issuing("POST /totp/confirm", by_a_new_app, options=DEMANDED)
    here = await installed(house, way, Asker())
    client = here.client()
    await post(client, "/login", {"email": EMAIL, "password": "correct horse battery staple"})
    answers = [
        await post(client, path, body)
        for path, body in (
            ("/totp/enroll", {}),
            ("/totp/confirm", {"code": "123456"}),
            ("/passkeys/register/options", {}),
            ("/passkeys/register", {"credential": {}}),
            ("/password/set", {"new_password": "a train of thought leaves at nine"}),
        )
    ]

    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert issued_at == []


async def test_hc11_a_pending_sign_in_opens_nothing_that_needs_a_session(house, issued_at):
    here = await installed(house, WAYS[0], Asker())
    client = here.client()
    await post(client, "/login", {"email": EMAIL, "password": "correct horse battery staple"})
    pending = {"cookie": "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)}
    secured = [route for routes in here.auth.routes.values() for route in routes if getattr(route, "secured", False)]
    places_there = [place for route in secured for place in places(route)]
    answers = {place: outcome(await reached(here, place, pending)) for place in places_there}

    assert len(answers) > 20
    assert answers == dict.fromkeys(answers, (401, "unauthenticated"))
    assert issued_at == []


async def test_hc11_a_pending_sign_in_alone_gets_nothing_anywhere(house, issued_at):
    here = await installed(house, WAYS[0], Asker())
    client = here.client()
    await post(client, "/login", {"email": EMAIL, "password": "correct horse battery staple"})
    pending = {"cookie": "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)}
    everything = [route for routes in here.auth.routes.values() for route in routes if isinstance(route, Route)]
    for place in [place for route in everything for place in places(route)]:
        answer = await reached(here, place, pending)
        assert not {here.auth.settings.cookie_name(name) for name in here.auth.cookies} & live(answer), place

    assert issued_at == []
    assert await here.count("sigra_sessions") == 0


async def reached(here: House, place: str, headers: dict[str, str]) -> Any:
    """A request to a route, with nothing in it but what every request has."""
    method, _, template = place.partition(" ")
    path = re.sub(r"{[^}]*}", A_UUID, template)
    client = here.client(headers=headers)
    body = {} if method in ("GET", "HEAD") else {"json": {}}
    return await client.request(method, client.path(path), **body)


def live(answer: Any) -> set[str]:
    """The names of the cookies that an answer sets, and does not delete."""
    return {one.partition("=")[0] for one in answer.headers.get_list("set-cookie") if "Max-Age=0" not in one}

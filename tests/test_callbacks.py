"""What a plugin does with an answer from elsewhere: a request without an identity goes on as who began it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra import Auth, Event, Identity, Login, Route, SignedIn, User, hookimpl
from sigra.testing import Client, FrozenClock, make_user
from tests.apps import running
from tests.policies import Factor, Recorder

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
"""Of a link that a browser follows."""


async def nothing(_: AsyncConnection, __: User) -> None:
    """A change that says nothing."""


@dataclass(frozen=True, kw_only=True)
class Reached(Event):
    """Somebody has come to the callback."""

    name: ClassVar[str] = "callback.reached"


@dataclass
class Callback:
    """Begins at `/start` with the session of who asks, and goes on at `/callback`, as somebody else's page leads there.

    Args:
        then: What the callback does for whom it is resumed.
        session_id: Whose it is.
    """

    then: Callable[[Auth, Request, Identity | None], Any]
    session_id: uuid.UUID | None = None
    name: str = "callback"
    api: int = 1
    events: tuple[type[Event], ...] = (Reached,)
    before: list[Identity | None] = field(default_factory=list)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        start, end = partial(self.start, auth), partial(self.end, auth)
        return [
            Route("/start", start, methods=["POST"]),
            Route("/callback", end, methods=["GET", "POST"], cross_origin=True),
        ]

    async def start(self, _: Auth, request: Request) -> Response:
        self.session_id = request.scope["sigra.identity"].session_id
        return Response(status_code=204)

    async def end(self, auth: Auth, request: Request) -> Response:
        self.before.append(request.scope["sigra.identity"])
        resumed = None if self.session_id is None else await auth.resume(request, self.session_id)
        response: Response = await self.then(auth, request, resumed)
        return response


async def told(_: Auth, request: Request, resumed: Identity | None) -> Response:
    """Who goes on, and whether the request knows."""
    user: User | None = request.scope["sigra.user"]
    same = resumed == request.scope["sigra.identity"]
    return JSONResponse({"email": user and user.email, "same": same, "session": resumed and str(resumed.session_id)})


async def renewed(auth: Auth, request: Request, _: Identity | None) -> Response:
    return await auth.renew(request, nothing, next=request.query_params.get("onward"))


# Going on as a session


async def test_hc28_a_callback_has_no_identity_until_it_goes_on_as_the_session_that_began_it(database: str) -> None:
    callback = Callback(told)
    async with running(database, ["defaults", callback]) as client:
        await client.sign_in(await make_user(client.sigra))
        stranger = (await client.get("/auth/callback")).json()
        await client.post("/auth/start")
        known = (await client.get("/auth/callback")).json()

    assert callback.before == [None, None]
    assert stranger == {"email": None, "same": True, "session": None}
    assert known == {"email": "ada@example.com", "same": True, "session": str(callback.session_id)}


@pytest.mark.parametrize("ends", ["signed out", "idle", "disabled", "revoked"])
async def test_hc08_a_session_that_has_ended_goes_on_nowhere(database: str, ends: str) -> None:
    clock, callback = FrozenClock(), Callback(told)
    async with running(database, ["defaults", callback], clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.post("/auth/start")
        auth = client.sigra
        match ends:
            case "signed out":
                await client.post("/auth/logout")
            case "idle":
                clock.tick(timedelta(hours=1, seconds=1))
            case "disabled":
                await auth.db.transaction(partial(auth.users.set_status, user=user, status="disabled"))
            case "revoked":
                await auth.db.transaction(partial(auth.revoke, user=user, reason="test"))
        answer = (await client.get("/auth/callback")).json()

    assert answer == {"email": None, "same": True, "session": None}


async def test_no_session_of_that_id_goes_on(database: str) -> None:
    async with running(database, ["defaults", Callback(told, session_id=uuid.UUID(int=1))]) as client:
        await client.sign_in(await make_user(client.sigra))

        assert (await client.get("/auth/callback")).json()["email"] is None


async def test_hc32_whoever_goes_on_renews_the_session_that_began_it(database: str) -> None:
    callback = Callback(renewed)
    async with running(database, ["defaults", callback]) as client:
        await client.sign_in(await make_user(client.sigra))
        old = dict(client.cookies)
        await client.post("/auth/start")
        answer = await client.get("/auth/callback")
        now = await client.get("/auth/session")
        client.cookies.clear()
        client.cookies.update(old)
        before = await client.get("/auth/session")

    assert answer.status_code == 204
    assert (now.status_code, before.status_code) == (200, 401)


async def test_hc46_what_is_recorded_names_who_goes_on(database: str) -> None:
    """The fact is of the session that began it, though no cookie said so."""
    recorder = Recorder()

    async def emitted(auth: Auth, _: Request, resumed: Identity | None) -> Response:
        assert resumed is not None
        await auth.db.transaction(partial(auth.emit, event=Reached(user_id=resumed.user.id)))
        return Response(status_code=204)

    async with running(database, ["defaults", Callback(emitted), recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.post("/auth/start")
        await client.get("/auth/callback")
        session = (await client.get("/auth/session")).json()["session"]["id"]

    [event] = [one for one in recorder.recorded if one.name == "callback.reached"]
    assert (event.actor_id, str(event.session_id)) == (user.id, session)


# Pages that a link leads to


async def lets_in(client: Client, callback: Callback, **login: Any) -> User:
    """A callback that signs somebody in."""
    user = await make_user(client.sigra)

    async def enter(auth: Auth, request: Request, _: Identity | None) -> Response:
        return await auth.sign_in(request, Login(user, ("fed",), **login))

    callback.then = enter
    return user


def landed(answer: httpx2.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.headers.get("location")


@pytest.mark.parametrize(("headers", "expected"), [(PAGE, (303, "/private")), ({}, (200, None))], ids=["page", "JSON"])
async def test_a_sign_in_at_a_link_leads_a_person_on_and_tells_a_program(
    headers: Mapping[str, str], expected: tuple[int, str | None]
) -> None:
    callback = Callback(told)
    async with running(MEMORY, ["defaults", callback]) as client:
        await lets_in(client, callback, next="/private")
        answer = await client.get("/auth/callback", headers=headers)
        signed_in = client.signed_in

    assert landed(answer) == expected
    assert signed_in


async def test_a_sign_in_at_a_link_that_owes_something_leads_a_person_to_the_challenge() -> None:
    callback = Callback(told)
    async with running(MEMORY, ["defaults", Factor(), callback]) as client:
        await lets_in(client, callback)
        by_link = await client.get("/auth/callback", headers=PAGE)
        by_program = await client.get("/auth/callback")

    assert landed(by_link) == (303, "/auth/login/challenge")
    assert by_program.status_code == 202


@pytest.mark.parametrize(
    ("onward", "location"),
    [("/private?x=1", "/private?x=1"), (None, "/auth/account"), ("//evil.example", "/auth/account")],
)
async def test_hc36_a_renewal_leads_a_person_to_what_is_named_when_it_is_here(
    onward: str | None, location: str
) -> None:
    async with running(MEMORY, ["defaults", Callback(renewed)]) as client:
        await client.sign_in(await make_user(client.sigra))
        await client.post("/auth/start")
        answer = await client.get("/auth/callback", params={"onward": onward} if onward else {}, headers=PAGE)

    assert landed(answer) == (303, location)


# What a plugin notes of the proof that began it


async def test_what_is_noted_of_a_proof_is_told_with_the_sign_in_however_long_it_waits(database: str) -> None:
    recorder, callback = Recorder(), Callback(told)
    async with running(database, ["defaults", Factor(), recorder, callback]) as client:
        await lets_in(client, callback, reference="tickets:1")
        await client.get("/auth/callback")
        await client.post("/auth/login/factor", json={"code": "right"})
        await client.post("/auth/login/factor", json={"code": "right"})

    [event] = [one for one in recorder.recorded if isinstance(one, SignedIn)]
    assert event.login is not None
    assert (event.login.reference, event.login.amr, event.login.replaces) == ("tickets:1", ("fed", "otp"), None)


async def test_who_is_told_of_a_sign_in_knows_which_session_it_replaces(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.sign_in(user)

    first, second = [one for one in recorder.recorded if isinstance(one, SignedIn)]
    assert first.login is not None
    assert second.login is not None
    assert first.login.replaces is None
    assert second.login.replaces == first.session_id
    assert "login" not in repr(second)

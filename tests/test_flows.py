"""The seam: attempts, challenges, pending sign-ins, issue, sign-out and events."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sigra import Attempt, Auth, Challenge, ConfigurationError, Cookie, InvalidCredentials, Login, Route, hookimpl
from sigra.models import ADDRESS_PROVEN
from sigra.testing import PASSWORD, Client, FrozenClock, make_user
from tests.apps import running
from tests.policies import Ban, Block, Carrier, Door, Factor, Meeting, Recorder, Waiver

MEMORY = "sqlite:///:memory:"


async def challenged(client: Client, **fields: Any) -> dict[str, Any]:
    """Sign in by password up to the challenge."""
    response = await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD, **fields})
    assert response.status_code == 202
    body: dict[str, Any] = response.json()
    return body


# Challenges


async def test_what_is_owed_is_answered_before_anything_is_issued(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        await make_user(client.sigra)
        body = await challenged(client)

    assert body["status"] == "challenge"
    assert body["challenges"] == [{"kind": "mfa", "methods": ["factor"]}]
    assert body["expires_at"] == "2026-01-01T12:10:00Z"
    assert not client.signed_in
    assert "sigra-login" in client.cookies


async def test_hc10_the_right_proof_finishes_by_cookie_or_by_token(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        await make_user(client.sigra)
        await challenged(client)
        by_cookie = await client.post("/auth/login/factor", json={"code": "right"})
        session = await client.get("/auth/session")
        program = Client(client.app, client.sigra)
        token = (await challenged(program))["login_token"]
        program.cookies.clear()
        by_token = await program.post("/auth/login/factor", json={"code": "right", "login_token": token})

    assert by_cookie.json()["status"] == by_token.json()["status"] == "signed_in"
    assert session.json()["identity"] == {"method": "session", "scopes": [], "amr": ["pwd", "otp"], "assurance": "aal2"}
    assert "sigra-login" not in client.cookies


async def test_hc10_two_factors_of_one_kind_of_thing_stay_at_level_1() -> None:
    async with running(MEMORY, ["defaults", Factor(amr="pin")]) as client:
        await make_user(client.sigra)
        await challenged(client)
        await client.post("/auth/login/factor", json={"code": "right"})
        session = await client.get("/auth/session")

    assert session.json()["identity"]["assurance"] == "aal1"


async def test_hc10_all_kinds_must_be_met_and_any_method_meets_its_kind(database: str) -> None:
    plugins = [Factor("totp"), Factor("passkey"), Factor("letter", kind="email_verification")]
    async with running(database, ["defaults", *plugins]) as client:
        await make_user(client.sigra)
        body = await challenged(client)
        first = await client.post("/auth/login/passkey", json={"code": "right"})
        second = await client.post("/auth/login/letter", json={"code": "right"})

    assert body["challenges"] == [
        {"kind": "mfa", "methods": ["totp", "passkey"]},
        {"kind": "email_verification", "methods": ["letter"]},
    ]
    assert first.json().get("challenges") == [{"kind": "email_verification", "methods": ["letter"]}]
    assert second.json()["status"] == "signed_in"


@pytest.mark.parametrize(
    ("waivable", "kinds", "status"),
    [((True, True), {"mfa"}, 200), ((True, False), {"mfa"}, 202), ((True, True), {"other"}, 202)],
)
async def test_hc10_a_waiver_lifts_a_kind_only_if_every_challenge_of_it_is_waivable(
    waivable: tuple[bool, bool], kinds: set[str], status: int
) -> None:
    plugins = [Factor("one", waivable=waivable[0]), Factor("two", waivable=waivable[1]), Waiver(kinds)]
    async with running(MEMORY, ["defaults", *plugins]) as client:
        response = await client.sign_in(await make_user(client.sigra))
        session = await client.get("/auth/session")

    assert response.status_code == status
    if status == 200:
        assert session.json()["identity"]["assurance"] == "aal1"


async def test_a_pending_sign_in_keeps_remember_and_carrier(database: str) -> None:
    door = Door(lambda auth, request: auth.sign_in(request, Login(door.user, ("pwd",), carrier="ticket")))
    async with running(database, ["defaults", Factor(), Carrier(), door]) as client:
        door.user = await make_user(client.sigra)
        await client.post("/auth/door")
        by_ticket = await client.post("/auth/login/factor", json={"code": "right"})
        await challenged(client, remember=True)
        by_cookie = await client.post("/auth/login/factor", json={"code": "right"})

    assert by_ticket.json()["ticket"] == "issued"
    assert "session" not in by_ticket.json()
    assert "Max-Age=2592000" in by_cookie.headers["set-cookie"]


async def test_a_form_goes_to_the_challenge_and_ends_where_it_wanted() -> None:
    async with running(MEMORY, ["defaults", Factor()]) as client:
        await make_user(client.sigra)
        form = {"email": "ada@example.com", "password": PASSWORD, "next": "/private"}
        first = await client.post("/auth/login", data=form)
        last = await client.post("/auth/login/factor", data={"code": "right"})

    assert (first.status_code, first.headers["location"]) == (303, "/auth/login/challenge")
    assert (last.status_code, last.headers["location"]) == (303, "/private")


# Alternatives, ways that are left to others, and what is owed


@dataclass
class Says:
    """Demands or offers what it was told to."""

    challenges: Sequence[Challenge]
    name: str = "says"
    api: int = 1

    @hookimpl
    async def challenges_for_login(self) -> Sequence[Challenge]:
        return self.challenges


CODE = Challenge("mfa", "code", alternative=True)


async def test_what_only_offers_a_way_demands_nothing(database: str) -> None:
    async with running(database, ["defaults", Says([CODE])]) as client:
        answer = await client.sign_in(await make_user(client.sigra))

    assert answer.json()["status"] == "signed_in"


@pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
async def test_a_way_is_offered_where_somebody_else_demands_the_kind(order: int) -> None:
    plugins = [Says([CODE]), Factor()][::order]
    async with running(MEMORY, ["defaults", *plugins]) as client:
        await make_user(client.sigra)
        body = await challenged(client)

    assert body["challenges"] == [{"kind": "mfa", "methods": ["factor", "code"]}]


async def test_what_is_offered_does_not_keep_a_waiver_from_lifting_the_kind() -> None:
    async with running(MEMORY, ["defaults", Factor(), Says([CODE]), Waiver({"mfa"})]) as client:
        answer = await client.sign_in(await make_user(client.sigra))

    assert answer.status_code == 200


async def test_hc10_what_is_demanded_without_a_way_lets_nobody_in(database: str) -> None:
    """A policy that no active plugin can meet fails closed."""
    async with running(database, ["defaults", Says([Challenge("enrollment", None)])]) as client:
        await make_user(client.sigra)
        body = await challenged(client)

    assert body["challenges"] == [{"kind": "enrollment", "methods": []}]
    assert not client.signed_in


async def test_who_demands_may_leave_the_ways_to_others(database: str) -> None:
    offered = Challenge("enrollment", "app", waivable=False, alternative=True)
    async with running(database, ["defaults", Says([Challenge("enrollment", None), offered])]) as client:
        await make_user(client.sigra)
        body = await challenged(client)

    assert body["challenges"] == [{"kind": "enrollment", "methods": ["app"]}]


@dataclass
class Looking:
    """Takes down the sign-in that waits."""

    name: str = "looking"
    api: int = 1
    seen: list[Login] = field(default_factory=list)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [Route("/look", partial(self.look, auth), methods=["POST"])]

    async def look(self, auth: Auth, request: Request) -> Response:
        """POST /look."""
        self.seen.append(await auth.pending(request))
        return Response(status_code=204)


async def test_a_sign_in_that_waits_knows_what_it_owes_and_what_was_asked_for(database: str) -> None:
    door = Door(lambda auth, request: auth.sign_in(request, Login(door.user, ("pwd",), trust_browser=True)))
    plugins = [Factor(), Factor("letter", kind="letter"), door, looking := Looking()]
    async with running(database, ["defaults", *plugins]) as client:
        door.user = await make_user(client.sigra)
        await client.post("/auth/door")
        await client.post("/auth/look")
        await client.post("/auth/login/factor", json={"code": "right"})
        await client.post("/auth/look")

    assert [one.owed for one in looking.seen] == [{"mfa", "letter"}, {"letter"}]
    assert [one.trust_browser for one in looking.seen] == [True, True]
    assert [one.met for one in looking.seen] == [set(), {"mfa"}]


# What a change adds to the answer


@dataclass
class Adds:
    """A change that says something, together with a sign-in or with a renewal."""

    said: object = field(default_factory=lambda: {"recovery_codes": ["one"]})

    async def change(self, *_: object) -> object:
        return self.said

    async def sign_in(self, auth: Auth, request: Request) -> Response:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        return await auth.sign_in(request, Login(user, ("pwd",)), self.change)

    async def renew(self, auth: Auth, request: Request) -> Response:
        return await auth.renew(request, self.change, page="codes", status=201)


@pytest.mark.parametrize(("plugins", "status"), [((), 200), ((Factor(),), 202)], ids=["signed in", "challenged"])
async def test_what_a_change_says_is_in_the_answer(database: str, plugins: tuple[Any, ...], status: int) -> None:
    async with running(database, ["defaults", Door(Adds().sign_in), *plugins]) as client:
        await make_user(client.sigra)
        answer = await client.post("/auth/door")

    assert answer.status_code == status
    assert answer.json()["recovery_codes"] == ["one"]
    assert {"status", "session" if status == 200 else "login_token"} <= answer.json().keys()


async def test_a_change_that_says_nothing_adds_nothing() -> None:
    async with running(MEMORY, ["defaults", Door(Adds("text").sign_in)]) as client:
        await make_user(client.sigra)
        answer = await client.post("/auth/door")

    assert answer.json().keys() == {"status", "user", "session"}


class Pages:
    """Shows codes."""

    name, api = "codes", 1

    @hookimpl
    async def render_page(self, page: str, context: Mapping[str, Any], status: int) -> Response | None:
        return PlainTextResponse(f"{context}", status) if page == "codes" else None


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "a form"])
async def test_what_a_change_says_is_the_answer_of_a_renewal(database: str, form: bool) -> None:
    async with running(database, ["defaults", Door(Adds().renew), Pages()]) as client:
        await client.sign_in(await make_user(client.sigra))
        before = client.cookies["sigra"]
        answer = await client.post("/auth/door", **({"data": {"x": "y"}} if form else {}))
        after = client.cookies["sigra"]

    said = {"recovery_codes": ["one"]}
    assert answer.status_code == 201
    assert (answer.text if form else answer.json()) == (f"{said}" if form else said)
    assert before != after


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "a form"])
async def test_a_renewal_of_which_nothing_is_said_goes_on(form: bool) -> None:
    async with running(MEMORY, ["defaults", Door(Adds(None).renew)]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await client.post("/auth/door", **({"data": {"x": "y"}} if form else {}))

    assert answer.status_code == (303 if form else 204)


# Pending sign-ins


async def test_hc43_a_sign_in_that_waits_keeps_no_endless_target(database: str) -> None:
    endless = "/" + "\u00e9" * 11_000
    door = Door(lambda auth, request: auth.sign_in(request, Login(door.user, ("pwd",), next=endless)))
    async with running(database, ["defaults", Factor(), door]) as client:
        door.user = await make_user(client.sigra)
        waiting = await client.post("/auth/door")
        async with client.sigra.db.connect() as tx:
            kept = (await tx.execute(select(client.sigra.seam.pendings._table.c.login))).scalar_one()

    assert waiting.status_code == 202
    assert kept["next"] is None


async def test_hc11_without_a_pending_sign_in_a_factor_proves_nothing(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        await make_user(client.sigra)
        without = await client.post("/auth/login/factor", json={"code": "right"})
        forged = await client.post("/auth/login/factor", json={"code": "right", "login_token": "A" * 43})

    for response in (without, forged):
        assert response.status_code == 401
        assert response.json()["code"] == "login_expired"


async def test_hc11_a_pending_sign_in_is_no_session_and_no_other_token(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        client.cookies.clear()
        as_session = await client.get("/auth/session", headers={"cookie": f"sigra={token}"})
        as_bearer = await client.get("/private", headers={"authorization": f"Bearer {token}"})
        spent = await client.sigra.db.transaction(lambda tx: client.sigra.tokens.spend(tx, "pending_sign_in", token))

    assert as_session.status_code == as_bearer.status_code == 401
    assert spent is None


async def test_hc14_a_pending_sign_in_is_spent_once(database: str) -> None:
    proven = asyncio.Barrier(4)

    async def prove(auth: Auth, request: Request) -> Any:
        login = await auth.pending(request)
        async with auth.attempt(request, method="factor", user=login.user):
            await proven.wait()
            return await auth.sign_in(request, login.passed("factor", amr="otp", meets=("mfa",)))

    async with running(database, ["defaults", Factor(), Door(prove)]) as client:
        await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        clients = [Client(client.app, client.sigra) for _ in range(4)]
        body = {"code": "right", "login_token": token}
        answers = await asyncio.gather(*(one.post("/auth/door", json=body) for one in clients))
        later = await client.post("/auth/login/factor", json=body)
        async with client.sigra.db.connect() as tx:
            sessions = (await tx.execute(select(client.sigra.metadata.tables["sigra_sessions"].c.id))).all()

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    assert later.json()["code"] == "login_expired"
    assert len(sessions) == 1


async def test_hc11_a_pending_sign_in_dies_after_ten_minutes(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Factor()], clock=clock) as client:
        await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        clock.tick(timedelta(minutes=10))
        response = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})

    assert response.status_code == 401
    assert response.json()["code"] == "login_expired"


async def test_hc11_five_wrong_proofs_end_a_pending_sign_in(database: str) -> None:
    factor = Factor()
    async with running(database, ["defaults", factor]) as client:
        await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        body = {"code": "wrong", "login_token": token}
        answers = [await client.post("/auth/login/factor", json=body) for _ in range(5)]
        dead = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})

    assert [answer.json()["code"] for answer in answers] == ["invalid_proof"] * 5
    assert dead.status_code == 401
    assert dead.json()["code"] == "login_expired"
    assert len(factor.tried) == 5


async def test_hc11_parallel_wrong_proofs_share_the_five(database: str) -> None:
    factor = Factor()
    async with running(database, ["defaults", factor, Meeting("factor", 20)]) as client:
        await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        body = {"code": "wrong", "login_token": token}
        await asyncio.gather(*(client.post("/auth/login/factor", json=body) for _ in range(20)))

    assert len(factor.tried) == 5


async def test_hc11_a_factor_that_asks_for_the_pending_sign_in_late_is_counted_too(database: str) -> None:
    tried = []

    async def prove(auth: Auth, request: Request) -> Any:
        async with auth.attempt(request, method="late", email="ada@example.com"):
            login = await auth.pending(request)
            tried.append(login)
            raise InvalidCredentials

    async with running(database, ["defaults", Factor(), Door(prove)]) as client:
        await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        for _ in range(7):
            await client.post("/auth/door", json={"login_token": token})
        dead = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})

    assert len(tried) == 5
    assert dead.status_code == 401


async def test_hc8_a_pending_sign_in_ends_with_everything_else_of_the_user(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        user = await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, user, "password_changed"))
        response = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})

    assert response.json()["code"] == "login_expired"


async def test_hc8_a_user_disabled_meanwhile_cannot_finish(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        user = await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, "disabled"))
        response = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})

    assert response.json()["code"] == "login_expired"


async def test_hc8_what_waited_for_a_proof_stays_ended_when_an_account_is_enabled(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        user = await make_user(client.sigra)
        token = (await challenged(client))["login_token"]
        for status in ("disabled", "active"):
            await client.sigra.db.transaction(partial(client.sigra.users.set_status, user=user, status=status))
        response = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})

    assert response.status_code == 401


async def test_hc8_a_proof_read_before_a_revocation_is_refused(database: str) -> None:
    async def late(auth: Auth, request: Request) -> Any:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        await auth.db.transaction(lambda tx: auth.revoke(tx, user, "password_changed"))
        return await auth.sign_in(request, Login(user, ("pwd",)))

    async with running(database, ["defaults", Door(late)]) as client:
        await make_user(client.sigra)
        response = await client.post("/auth/door")

    assert response.status_code == 401
    assert response.json()["code"] == "invalid_credentials"


@pytest.mark.parametrize(
    ("guessable", "status", "code"), [(True, 401, "invalid_credentials"), (False, 403, "account_disabled")]
)
async def test_hc39_only_a_proof_that_cannot_be_guessed_is_told_of_a_disabled_account(
    guessable: bool, status: int, code: str
) -> None:
    async def enter(auth: Auth, request: Request) -> Any:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        return await auth.sign_in(request, Login(user, ("hwk",), guessable=guessable))

    async with running(MEMORY, ["defaults", Door(enter)]) as client:
        user = await make_user(client.sigra)
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, user, "disabled"))
        response = await client.post("/auth/door")

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_hc32_a_renewal_with_a_second_step_ends_the_old_session(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client:
        await make_user(client.sigra)
        await challenged(client)
        await client.post("/auth/login/factor", json={"code": "right"})
        before = await client.get("/auth/session")
        token = (await challenged(client))["login_token"]
        elsewhere = Client(client.app, client.sigra)
        renewed = await elsewhere.post("/auth/login/factor", json={"code": "right", "login_token": token})
        after = await client.get("/auth/session")

    assert (before.status_code, renewed.status_code) == (200, 200)
    assert after.status_code == 401


# Attempts


async def test_a_sign_in_without_an_attempt_makes_one_of_its_own() -> None:
    recorder = Recorder()
    door = Door(lambda auth, request: auth.sign_in(request, Login(door.user, ("pwd",))))
    async with running(MEMORY, ["defaults", recorder, door]) as client:
        door.user = await make_user(client.sigra)
        await client.post("/auth/door")

    assert [(attempt.email, attempt.user) for attempt in recorder.attempts] == [("ada@example.com", door.user)]


async def test_an_attempt_on_another_account_does_not_cover_a_sign_in() -> None:
    recorder = Recorder()

    async def enter(auth: Auth, request: Request) -> Any:
        async with auth.attempt(request, method="odd", email="bob@example.com"):
            user = await auth.users.by_email("ada@example.com")
            assert user is not None
            return await auth.sign_in(request, Login(user, ("pwd",)))

    async with running(MEMORY, ["defaults", recorder, Door(enter)]) as client:
        await make_user(client.sigra)
        await client.post("/auth/door")

    assert [attempt.email for attempt in recorder.attempts] == ["bob@example.com", "ada@example.com"]


async def test_tries_are_counted_by_the_address_or_by_what_a_plugin_says_instead() -> None:
    recorder = Recorder()

    class Kiosk:
        name, api = "kiosk", 1

        @hookimpl
        async def subject_for_attempt(self, attempt: Attempt) -> str | None:
            return "kiosk 7" if attempt.email == "bob@example.com" else None

    async with running(MEMORY, ["defaults", recorder, Kiosk()]) as client:
        for email in (" ADA@Example.com", "bob@example.com", "nobody"):
            await client.post("/auth/login", json={"email": email, "password": "x"})

    assert [attempt.subject for attempt in recorder.attempts] == ["ada@example.com", "kiosk 7", None]


async def test_tries_of_a_user_without_an_address_are_counted_by_its_id() -> None:
    recorder = Recorder()
    door = Door(lambda auth, request: auth.sign_in(request, Login(door.user, ("hwk",), guessable=False)))
    async with running(MEMORY, ["defaults", recorder, door]) as client:
        door.user = await client.sigra.db.transaction(lambda tx: client.sigra.users.create(tx, email=None))
        await client.post("/auth/door")

    assert [(attempt.subject, attempt.guessable) for attempt in recorder.attempts] == [(str(door.user.id), False)]


@pytest.mark.parametrize("password", [PASSWORD, "wrong", "x" * 1025])
async def test_hc40_a_blocked_attempt_is_answered_as_a_wrong_proof(database: str, password: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder, Block()]) as client:
        await make_user(client.sigra)
        blocked = await client.post("/auth/login", json={"email": "ada@example.com", "password": password})
        unknown = await client.post("/auth/login", json={"email": "bob@example.com", "password": password})

    assert (blocked.status_code, blocked.content) == (unknown.status_code, unknown.content)
    assert not client.signed_in
    assert "sign_in.succeeded" not in recorder.names


async def test_hc40_a_blocked_attempt_stays_one_where_its_plugin_did_not_ask(database: str) -> None:
    recorder = Recorder()

    async def enter(auth: Auth, request: Request) -> Any:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        async with auth.attempt(request, method="odd", user=user):
            pass
        return await auth.sign_in(request, Login(user, ("pwd",)))

    async with running(database, ["defaults", recorder, Door(enter), Block()]) as client:
        await make_user(client.sigra)
        answer = await client.post("/auth/door")

    assert answer.status_code == 401
    assert recorder.names == ["user.created", "sign_in.failed"]


async def test_hc40_a_blocked_attempt_lets_nobody_in_from_within(database: str) -> None:
    async def enter(auth: Auth, request: Request) -> Any:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        async with auth.attempt(request, method="odd", user=user):
            return await auth.sign_in(request, Login(user, ("pwd",)))

    recorder = Recorder()
    async with running(database, ["defaults", recorder, Door(enter), Block()]) as client:
        await make_user(client.sigra)
        answer = await client.post("/auth/door")

    assert answer.status_code == 401
    assert recorder.names == ["user.created", "sign_in.failed"]


async def test_plugins_send_cookies_along_with_a_credential_and_say_what_is_unusual() -> None:
    carrier = Carrier()

    class Watch:
        name, api = "watch", 1
        seen: list[bool]

        @hookimpl
        async def is_unfamiliar(self, login: Login) -> bool | None:
            return login.remember or None

        @hookimpl
        async def cookies_for_login(self, login: Login) -> list[Cookie]:
            self.seen.append(login.unfamiliar)
            return [Cookie("sigra-watch", "on")]

    watch = Watch()
    watch.seen = []
    async with running(MEMORY, ["defaults", carrier, watch, Factor()]) as client:
        await make_user(client.sigra)
        for remember in (False, True):
            client.cookies.clear()
            await challenged(client, remember=remember)
            waiting = "sigra-watch" in client.cookies
            await client.post("/auth/login/factor", json={"code": "right"})

    assert watch.seen == [False, True]
    assert not waiting
    assert client.cookies["sigra-watch"] == "on"


async def test_a_password_sign_in_is_one_attempt_and_one_event() -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", recorder]) as client:
        await client.sign_in(await make_user(client.sigra))
        await client.sign_out()
        await client.sigra._background.drain()

    assert len(recorder.attempts) == 1
    assert recorder.names == ["user.created", "sign_in.succeeded", "sign_out.succeeded"]
    assert [event.name for event in recorder.handled] == recorder.names


async def test_a_wrong_proof_outside_an_attempt_is_counted_against_the_client_once() -> None:
    recorder = Recorder()

    async def enter(auth: Auth, request: Request) -> Any:
        raise InvalidCredentials

    async with running(MEMORY, ["defaults", recorder, Door(enter)]) as client:
        response = await client.post("/auth/door")

    assert response.json()["code"] == "invalid_credentials"
    [attempt] = recorder.attempts
    assert (attempt.client, attempt.email) == ("203.0.113.7", None)
    assert recorder.names == ["sign_in.failed"]


async def test_a_failure_inside_an_attempt_is_recorded_once() -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", recorder]) as client:
        await client.post("/auth/login", json={"email": "a@example.com", "password": "x"})

    assert recorder.names == ["sign_in.failed"]
    assert recorder.recorded[0].metadata == {"method": "password", "email": "a@example.com"}


async def test_a_ban_refuses_and_leaves_nothing_behind(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", Ban("ada@example.com"), recorder]) as client:
        response = await client.sign_in(await make_user(client.sigra))
        async with client.sigra.db.connect() as tx:
            sessions = (await tx.execute(select(client.sigra.metadata.tables["sigra_sessions"].c.id))).all()

    assert response.status_code == 403
    assert response.json()["code"] == "refused"
    assert sessions == []
    assert "sign_in.succeeded" not in recorder.names


# Events


async def test_events_carry_who_and_where() -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", recorder]) as client:
        user = await make_user(client.sigra)
        client.headers["user-agent"] = "x" * 600
        client.headers["x-request-id"] = "proxy-request-1"
        await client.sign_in(user)
        session = (await client.get("/auth/session")).json()["session"]["id"]
        await client.sign_out()

    signed_in, signed_out = recorder.recorded[1:]
    assert signed_in.user_id == signed_in.actor_id == user.id
    assert signed_in.client == "203.0.113.7"
    assert signed_in.user_agent == "x" * 512
    assert signed_in.request_id == "proxy-request-1"
    assert str(signed_in.session_id) == str(signed_out.session_id) == session
    assert signed_in.metadata == {"carrier": "session", "amr": ["pwd"], "assurance": "aal1"}


class Broken:
    """Fails where it is told."""

    api = 1

    def __init__(self, hook: str) -> None:
        self.name = "broken"
        self.failing = hook

    def fail(self, hook: str) -> None:
        if hook == self.failing:
            raise ZeroDivisionError("a bug")

    @hookimpl
    async def before_attempt(self) -> None:
        self.fail("before_attempt")

    @hookimpl
    async def before_action(self) -> None:
        self.fail("before_action")

    @hookimpl
    async def challenges_for_login(self) -> None:
        self.fail("challenges_for_login")

    @hookimpl
    async def waivers_for_login(self) -> None:
        self.fail("waivers_for_login")

    @hookimpl
    async def record_event(self) -> None:
        self.fail("record_event")

    @hookimpl
    async def handle_event(self) -> None:
        self.fail("handle_event")

    @hookimpl
    async def check_request(self) -> None:
        self.fail("check_request")

    @hookimpl
    async def before_response(self) -> None:
        self.fail("before_response")


@pytest.mark.parametrize(
    "hook", ["before_attempt", "before_action", "challenges_for_login", "record_event", "check_request"]
)
async def test_hc47_a_plugin_that_fails_where_it_may_refuse_refuses(hook: str) -> None:
    broken = Broken("")
    async with running(MEMORY, ["defaults", broken]) as client:
        user = await make_user(client.sigra)
        broken.failing = hook
        response = await client.sign_in(user)
        broken.failing = ""
        session = await client.get("/auth/session")

    assert response.status_code == 503
    assert "a bug" not in response.text
    assert session.status_code == 401


@pytest.mark.parametrize("hook", ["handle_event", "before_response"])
async def test_hc47_a_plugin_that_fails_where_it_is_told_stops_nobody(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", Broken(hook), recorder]) as client:
        response = await client.sign_in(await make_user(client.sigra))
        await client.sigra._background.drain()

    assert response.status_code == 200
    assert [event.name for event in recorder.handled] == ["user.created", "sign_in.succeeded"]
    assert "broken" in caplog.text


async def test_a_carrier_of_sessions_that_cannot_renew_them_does_not_start() -> None:
    class Half(Carrier):
        @hookimpl
        async def revoke_session(self) -> None: ...

    with pytest.raises(ConfigurationError, match="Plugin carrier carries sessions but has no renew_session"):
        async with running(MEMORY, ["defaults", Half()]):
            pass


async def test_a_carrier_that_nobody_claims_lets_nobody_in() -> None:
    async def enter(auth: Auth, request: Request) -> Any:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        return await auth.sign_in(request, Login(user, ("pwd",), carrier="nobody's"))

    async with running(MEMORY, ["defaults", Door(enter)]) as client:
        await make_user(client.sigra)
        response = await client.post("/auth/door")

    assert response.status_code == 503


async def test_hc10_an_address_alone_is_no_sign_in(database: str) -> None:
    """Where nothing can be chosen to sign in with nothing is owed either."""
    door = Door(lambda auth, request: auth.sign_in(request, Login(door.user, ("email",), methods=(ADDRESS_PROVEN,))))
    async with running(database, ["sessions", door]) as client:
        door.user = await client.sigra.db.transaction(
            lambda tx: client.sigra.users.create(tx, email="ada@example.com", email_verified=True)
        )
        answer = await client.post("/auth/door")

    assert (answer.status_code, client.signed_in) == (403, False)
    assert answer.json()["code"] == "address_alone"

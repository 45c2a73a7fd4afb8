"""Signing in by password: what is accepted, and that nothing else is told."""

import asyncio
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import argon2
import pytest
from sqlalchemy import event, select
from starlette.requests import Request
from starlette.responses import JSONResponse

from sigra import Attempt, Auth, Event, InvalidCredentials, Route, User, hookimpl, hookspecs
from sigra.crypto.pool import usable_cores
from sigra.plugins.password import Password
from sigra.testing import PASSWORD, Client, cheap_settings, make_user
from tests.apps import running


@dataclass
class Recorder:
    """Takes down attempts and events, in order."""

    name: str = "recorder"
    api: int = 1
    seen: list[Any] = field(default_factory=list)

    @hookimpl
    async def before_attempt(self, attempt: Attempt) -> None:
        self.seen.append((attempt.method, attempt.email, attempt.client))

    @hookimpl
    async def record_event(self, event: Event) -> None:
        self.seen.append(event)


async def test_the_answer_has_user_and_session_and_sets_the_cookie(database: str) -> None:
    async with running(database, https=True) as client:
        user = await make_user(client.sigra)
        response = await client.post("/auth/login", json={"email": "ADA@example.com ", "password": PASSWORD})

    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "signed_in"
    assert body["user"]["id"] == str(user.id)
    assert body["session"]["current"] is True
    [cookie, *_] = response.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-sigra=")
    assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")


@pytest.mark.parametrize("password", ["wrong", PASSWORD + " ", PASSWORD.upper(), "", "\ud800"[:0] + "x" * 1024])
async def test_a_wrong_password_is_401(password: str) -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        response = await client.sign_in(user, password)

    assert response.status_code == 401
    assert response.json()["code"] == "invalid_credentials"
    assert not client.signed_in


@dataclass
class Statements:
    """Counts what is sent to the database."""

    sent: list[str] = field(default_factory=list)

    def watch(self, auth: Any) -> None:
        event.listen(auth.db._engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        self.sent.append(statement)


async def test_hc39_unknown_disabled_and_passwordless_accounts_answer_like_a_wrong_password(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counting(hasher: argon2.PasswordHasher, hash: str, secret: bytes) -> bool:
        hashes.append(hash)
        return verify(hasher, hash, secret)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting)
    async with running(database) as client:
        auth = client.sigra
        await make_user(auth, "known@example.com")
        disabled = await make_user(auth, "disabled@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        closing = await make_user(auth, "closing@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, closing, "closing"))
        await make_user(auth, "keyless@example.com", None)
        statements = Statements()
        statements.watch(auth)
        seen = {}
        for email, password in [
            ("known@example.com", "wrong"),
            ("unknown@example.com", PASSWORD),
            ("disabled@example.com", PASSWORD),
            ("closing@example.com", PASSWORD),
            ("disabled@example.com", "wrong"),
            ("keyless@example.com", PASSWORD),
        ]:
            hashes.clear()
            statements.sent.clear()
            response = await client.post("/auth/login", json={"email": email, "password": password})
            headers = [item for item in response.headers.items() if item[0] != "date"]
            seen[email, password] = (
                response.status_code,
                response.content,
                headers,
                len(hashes),
                tuple(statements.sent),
            )

    first, *others = seen.values()
    assert first[0] == 401
    assert first[3] == 1
    assert all(other == first for other in others)


async def test_hc39_the_same_attempt_and_failure_is_recorded_for_known_and_unknown(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        await make_user(client.sigra)
        recorder.seen.clear()
        for email in ("ada@example.com", "nobody@example.com"):
            await client.post("/auth/login", json={"email": email, "password": "wrong"})

    first, failed, second, failed_too = recorder.seen
    assert first == ("password", "ada@example.com", "203.0.113.7")
    assert second == ("password", "nobody@example.com", "203.0.113.7")
    for one in (failed, failed_too):
        assert one.name == "sign_in.failed"
        assert one.user_id is None
        assert one.outcome == "failure"
        assert one.client == "203.0.113.7"
    assert failed.request_id != failed_too.request_id


async def test_hc39_an_account_of_weaker_parameters_answers_like_an_unknown_one(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database) as client:
        await make_user(client.sigra)
    spent: list[int] = []
    verify = argon2.PasswordHasher.verify

    def counting(hasher: argon2.PasswordHasher, hash: str, secret: bytes) -> bool:
        made = argon2.extract_parameters(hash)
        spent.append(made.memory_cost * made.time_cost)
        return verify(hasher, hash, secret)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting)
    async with running_again(database, password={"memory_kib": 64, "time": 2}) as client:
        statements = Statements()
        statements.watch(client.sigra)
        seen = []
        for email in ("ada@example.com", "nobody@example.com"):
            spent.clear()
            statements.sent.clear()
            response = await client.post("/auth/login", json={"email": email, "password": "wrong"})
            seen.append((response.status_code, response.content, sum(spent), tuple(statements.sent)))

    assert seen[0] == seen[1]
    assert seen[0][2] == 128


async def test_hc39_the_page_is_the_same_for_known_and_unknown() -> None:
    async with running("sqlite:///:memory:") as client:
        await make_user(client.sigra, "ada@example.com")
        disabled = await make_user(client.sigra, "bob@example.com")
        await client.sigra.db.transaction(lambda tx: client.sigra.users.set_status(tx, disabled, "disabled"))
        await make_user(client.sigra, "eve@example.com", None)
        pages = []
        for name, password in (("ada", "wrong"), ("bob", PASSWORD), ("eve", PASSWORD), ("zoe", PASSWORD)):
            form = {"email": f"{name}@example.com", "password": password}
            page = await client.post("/auth/login", data=form)
            headers = [item for item in page.headers.items() if item[0] != "date"]
            pages.append((page.status_code, headers, page.text.replace(name, "---")))

    assert pages[0][0] == 401
    assert all(page == pages[0] for page in pages)


async def test_hc44_of_many_sign_ins_at_once_the_excess_is_told_to_come_back_known_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, verify = threading.Event(), argon2.PasswordHasher.verify

    def slow(hasher: argon2.PasswordHasher, hash: str, secret: bytes) -> bool:
        assert gate.wait(60)
        return verify(hasher, hash, secret)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", slow)
    async with running("sqlite:///:memory:", password={"memory_kib": 8, "time": 1, "queue": 4}) as client:
        user = await make_user(client.sigra)
        bodies = [{"email": f"{name}@example.com", "password": "wrong"} for name in ("ada", "nobody") * 100]
        signing_in = [asyncio.create_task(client.post("/auth/login", json=body)) for body in bodies]
        places = usable_cores() + 4
        while sum(one.done() for one in signing_in) < len(bodies) - places:
            await asyncio.wait([one for one in signing_in if not one.done()], return_when=asyncio.FIRST_COMPLETED)
        beside = await client.get("/auth/session")
        gate.set()
        answers = await asyncio.gather(*signing_in)
        later = await client.sign_in(user)

    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == len(bodies) - places
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert len({answer.content for answer in refused}) == 1
    assert [answer.status_code for answer in answers].count(401) == places
    assert (beside.status_code, later.status_code) == (401, 200)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": "x"}, "email"),
        ({"email": "a@example.com"}, "password"),
        ({"email": "a" * 300, "password": "x"}, "email"),
        ({"email": "a@example.com", "password": "x" * 1025}, "password"),
        ({"email": ["a@example.com"], "password": "x"}, "email"),
        ({"email": "a@example.com", "password": None}, "password"),
    ],
)
async def test_hc43_bad_fields_are_named_and_not_echoed(body: dict[str, Any], field: str) -> None:
    async with running("sqlite:///:memory:") as client:
        response = await client.post("/auth/login", json=body)

    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["field"] == field
    assert "example.com" not in response.text


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"email": "a", "email": "b", "password": "x"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 413),
        (b"[" * 1000, "application/json", 400),
        (b'{"email": "\\ud800@example.com", "password": "x"}', "application/json", 400),
        (b'{"email": "a\\u0000@example.com", "password": "x"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"email":"a@example.com","password":"x"}', "text/plain", 415),
        (b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"email=a&email=b&password=x", "application/x-www-form-urlencoded", 400),
    ],
)
async def test_hc43_hostile_bodies_get_a_problem(content: bytes, kind: str, status: int) -> None:
    async with running("sqlite:///:memory:") as client:
        response = await client.post("/auth/login", content=content, headers={"content-type": kind})

    assert response.status_code == status
    assert b"nobody@" not in response.content


@pytest.mark.parametrize("email", ["nobody", "a@b@c", "a\u200b@example.com", "@", "a@localhost", '"a"@example.com'])
async def test_hc39_an_address_that_no_account_can_have_is_a_wrong_proof(email: str) -> None:
    async with running("sqlite:///:memory:") as client:
        response = await client.post("/auth/login", json={"email": email, "password": "x"})

    assert response.status_code == 401


async def test_hc9_further_members_change_nothing(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        response = await client.sign_in(
            user,
            is_admin=True,
            id="1",
            user_id="1",
            scopes=["*"],
            status="active",
            amr=["hwk"],
            level=2,
            assurance="aal2",
        )
        session = await client.get("/auth/session")

    assert response.json()["user"]["id"] == str(user.id)
    assert session.json()["identity"]["assurance"] == "aal1"
    assert session.json()["identity"]["scopes"] == []


async def test_a_hash_of_other_parameters_is_made_anew_at_sign_in(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        plugin = client.sigra.plugin(Password)
        async with client.sigra.db.connect() as tx:
            before = await tx.scalar(select(plugin.table.c.hash))
    async with running_again(database, password={"memory_kib": 16, "time": 1}) as client:
        signed_in = await client.sign_in(user)
        plugin = client.sigra.plugin(Password)
        async with client.sigra.db.connect() as tx:
            after = await tx.scalar(select(plugin.table.c.hash))
        again = await client.sign_in(user)

    assert before is not None and "m=8," in before
    assert after is not None and "m=16," in after
    assert signed_in.status_code == again.status_code == 200


def running_again(database: str, **options: Any) -> Any:
    """A second Sigra on the tables of the first."""
    from contextlib import asynccontextmanager

    from sigra import Sigra
    from sigra.testing import Client
    from tests.apps import application

    @asynccontextmanager
    async def again() -> Any:
        async with Sigra(cheap_settings(database, **options)) as auth, Client(auth.wrap(application), auth) as client:
            yield client

    return again()


async def test_hc36_a_form_is_redirected_to_next_and_foreign_targets_to_home() -> None:
    async with running("sqlite:///:memory:", home="/welcome") as client:
        await make_user(client.sigra)
        form = {"email": "ada@example.com", "password": PASSWORD}
        to_next = await client.post("/auth/login", data={**form, "next": "/private?x=1"})
        by_query = await client.post("/auth/login?next=/reports", data=form)
        foreign = await client.post("/auth/login", data={**form, "next": "//evil.example"})
        nowhere = await client.post("/auth/login", data=form)

    assert [response.status_code for response in (to_next, by_query, foreign, nowhere)] == [303] * 4
    assert to_next.headers["location"] == "/private?x=1"
    assert by_query.headers["location"] == "/reports"
    assert foreign.headers["location"] == nowhere.headers["location"] == "/welcome"


async def test_hc36_a_target_that_is_given_twice_is_none() -> None:
    async with running("sqlite:///:memory:", home="/welcome") as client:
        await make_user(client.sigra)
        form = {"email": "ada@example.com", "password": PASSWORD}
        response = await client.post("/auth/login?next=/private&next=/reports", data=form)

    assert response.headers["location"] == "/welcome"


async def test_a_form_with_a_wrong_password_gets_the_page_again() -> None:
    async with running("sqlite:///:memory:") as client:
        form = {"email": '"><script>alert(1)</script>', "password": "wrong"}
        response = await client.post("/auth/login", data=form)

    assert response.status_code == 401
    assert response.headers["content-type"].startswith("text/html")
    assert "The sign-in details are not right." in response.text
    assert "<script>alert" not in response.text


async def test_hc37_a_poisoned_host_changes_no_redirect() -> None:
    async with running("sqlite:///:memory:", home="/") as client:
        await make_user(client.sigra)
        form = {"email": "ada@example.com", "password": PASSWORD}
        headers = {"host": "evil.example", "x-forwarded-host": "evil.example"}
        response = await client.post("/auth/login", data=form, headers=headers)

    assert response.headers["location"] == "/"
    assert "evil" not in str(response.headers)


# Beside another proof


@dataclass
class Beside:
    """Asks for a user's password where another proof is looked at."""

    user: User | None = None
    name: str = "beside"
    api: int = 1

    @hookimpl
    def register_routes(self, auth: Auth) -> list[Route]:
        return [Route("/beside", partial(self.prove, auth), methods=["POST"])]

    async def prove(self, auth: Auth, request: Request) -> JSONResponse:
        """POST /beside: what the plugin for passwords says."""
        assert self.user is not None
        password = (await request.json())["password"]
        async with auth.attempt(request, method="password", user=self.user) as attempt:
            asked = hookspecs.prove_password
            return JSONResponse(await auth.first(asked, attempt=attempt, user=self.user, password=password))


@dataclass
class Blocks:
    """Has every proof count as wrong."""

    name: str = "blocks"
    api: int = 1

    @hookimpl
    async def before_attempt(self) -> None:
        raise InvalidCredentials


async def beside(client: Client, password: str) -> tuple[int, Any]:
    answer = await client.post("/auth/beside", json={"password": password})
    body = answer.json()
    return answer.status_code, body["code"] if answer.status_code != 200 else body


async def test_hc02_the_right_password_alone_proves_something_beside_another_proof(database: str) -> None:
    door, recorder = Beside(), Recorder()
    async with running(database, ["defaults", door, recorder]) as client:
        door.user = await make_user(client.sigra)

        assert await beside(client, PASSWORD) == (200, True)
        assert await beside(client, "wrong") == (401, "invalid_credentials")
    assert [one.name for one in recorder.seen if isinstance(one, Event)][1:] == ["sign_in.failed"]


@pytest.mark.parametrize("why", ["no password", "disabled", "blocked"])
async def test_hc39_a_password_beside_another_proof_is_wrong_in_the_same_work(
    database: str, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    door, work = Beside(), []
    async with running(database, ["defaults", door, *([Blocks()] if why == "blocked" else [])]) as client:
        auth = client.sigra
        verify = auth.hasher.verify

        async def counted(hash: str | None, password: str) -> bool:
            work.append(hash is None)
            return await verify(hash, password)

        monkeypatch.setattr(auth.hasher, "verify", counted)
        door.user = await make_user(auth, password=None if why == "no password" else PASSWORD)
        if why == "disabled":
            await auth.db.transaction(partial(auth.users.set_status, user=door.user, status="disabled"))
            door.user = await auth.users.by_id(door.user.id)

        assert await beside(client, PASSWORD) == (401, "invalid_credentials")
    assert work == [True]


async def test_where_no_passwords_are_kept_nobody_says_anything_of_one() -> None:
    door = Beside()
    async with running("sqlite:///:memory:", ["sessions", door]) as client:
        door.user = await make_user(client.sigra, password=None)

        assert await beside(client, PASSWORD) == (200, None)

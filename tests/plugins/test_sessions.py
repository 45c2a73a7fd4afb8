"""Sessions: how long they live, what ends them, and what is never told."""

import uuid
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from sigra import hookspecs
from sigra.plugins.sessions import Sessions
from sigra.testing import Client, FrozenClock, make_api_key, make_user
from tests.apps import running


async def test_session_shows_user_session_and_identity(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra, name="Ada")
        await client.sign_in(user)
        body = (await client.get("/auth/session", headers={"user-agent": "tests"})).json()

    assert body["user"] == {"id": str(user.id), "email": "ada@example.com", "email_verified": True, "name": "Ada"}
    assert body["session"]["current"] is True
    assert body["session"]["created_at"] == "2026-01-01T12:00:00Z"
    assert body["identity"] == {"method": "session", "scopes": [], "amr": ["pwd"], "assurance": "aal1"}


async def test_without_a_session_it_is_401() -> None:
    async with running("sqlite:///:memory:") as client:
        response = await client.get("/auth/session")

    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(("remember", "idle", "absolute"), [(False, 60, 200), (True, 600, 2000)])
async def test_each_life_time_has_an_effect(database: str, remember: bool, idle: int, absolute: int) -> None:
    clock = FrozenClock()
    lives = {"idle": 60, "absolute": 200, "remember_idle": 600, "remember_absolute": 2000}
    async with running(database, clock=clock, sessions=lives) as client:
        user = await make_user(client.sigra)
        signed_in = await client.sign_in(user, remember=remember)
        cookie = signed_in.headers["set-cookie"]
        clock.tick(timedelta(seconds=idle - 1))
        fresh = await client.get("/auth/session")
        clock.tick(timedelta(seconds=idle))
        idled_out = await client.get("/auth/session")
        await client.sign_in(user, remember=remember)
        ages = []
        for _ in range(absolute // (idle // 2) + 1):
            clock.tick(timedelta(seconds=idle // 2))
            ages.append((await client.get("/auth/session")).status_code)
            await client.sigra.plugin(_sessions()).last_use.flush(client.sigra.db)

    assert ("Max-Age=2000" in cookie) is remember
    assert fresh.status_code == 200
    assert idled_out.status_code == 401
    lived = ages.index(401) * (idle // 2)
    assert absolute - idle <= lived <= absolute


@pytest.mark.parametrize("seconds", [60, 200])
async def test_hc32_a_session_ends_to_the_second(database: str, seconds: int) -> None:
    clock = FrozenClock()
    lives = {"idle": 60, "absolute": 200} if seconds == 60 else {"idle": 7200, "absolute": 200}
    answers = []
    for waited in (timedelta(seconds=seconds) - timedelta(milliseconds=1), timedelta(seconds=seconds)):
        async with running(database, clock=clock, sessions=lives) as client:
            await client.sign_in(await make_user(client.sigra, f"{waited.microseconds}@example.com"))
            clock.tick(waited)
            answers.append((await client.get("/auth/session")).status_code)

    assert answers == [200, 401]


def _sessions() -> type:
    from sigra.plugins.sessions import Sessions

    return Sessions


async def test_use_keeps_a_session_alive_on_disk(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=50))
        await client.get("/")
        sessions = client.sigra.plugin(_sessions())
        await sessions.last_use.flush(client.sigra.db)
        clock.tick(timedelta(minutes=50))
        later = await client.get("/auth/session")

    assert later.status_code == 200


async def test_last_use_is_written_at_most_every_five_minutes(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        sessions = client.sigra.plugin(_sessions())
        clock.tick(timedelta(minutes=4))
        await client.get("/")
        await sessions.last_use.flush(client.sigra.db)
        async with client.sigra.db.connect() as tx:
            early = await tx.scalar(select(sessions.table.c.last_used_at))
        clock.tick(timedelta(minutes=2))
        await client.get("/")
        await sessions.last_use.flush(client.sigra.db)
        async with client.sigra.db.connect() as tx:
            late = await tx.scalar(select(sessions.table.c.last_used_at))

    assert early == clock() - timedelta(minutes=6)
    assert late == clock()


async def test_a_session_is_known_by_its_id_while_it_lives(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        user = await make_user(client.sigra)
        id = uuid.UUID((await client.sign_in(user)).json()["session"]["id"])
        async with client.sigra.db.connect() as tx:
            ask = partial(client.sigra.first, hookspecs.identity_of_session, tx=tx)
            alive = await ask(session_id=id)
            unknown = await ask(session_id=uuid.UUID(int=1))
            clock.tick(timedelta(hours=24))
            too_old = await ask(session_id=id)

    assert alive is not None
    assert (alive.user.id, alive.session_id, alive.method, alive.amr) == (user.id, id, "session", ("pwd",))
    assert alive.authenticated_at == FrozenClock()()
    assert (unknown, too_old) == (None, None)


async def test_hc32_a_slow_use_does_not_bring_back_a_session_that_was_signed_out(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        stolen = Client(client.app, client.sigra, cookies=None)
        stolen.cookies.update(client.cookies)
        clock.tick(timedelta(minutes=10))
        await client.get("/")
        await client.sign_out()
        await client.sigra.plugin(_sessions()).last_use.flush(client.sigra.db)
        response = await stolen.get("/auth/session")

    assert response.status_code == 401


async def test_hc32_a_new_sign_in_replaces_the_session(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        old = dict(client.cookies)
        await client.sign_in(user)
        new = dict(client.cookies)
        client.cookies.clear()
        client.cookies.update(old)
        with_old = await client.get("/auth/session")
        client.cookies.update(new)
        with_new = await client.get("/auth/sessions")

    assert old != new
    assert with_old.status_code == 401
    assert len(with_new.json()["sessions"]) == 1


async def test_hc32_proof_of_another_user_is_409_and_changes_nothing() -> None:
    async with running("sqlite:///:memory:") as client:
        ada = await make_user(client.sigra)
        bob = await make_user(client.sigra, "bob@example.com")
        await client.sign_in(ada)
        response = await client.sign_in(bob)
        still = await client.get("/")

    assert response.status_code == 409
    assert response.json()["code"] == "other_account"
    assert still.json()["email"] == "ada@example.com"


async def test_sign_out_answers_alike_with_and_without_a_session() -> None:
    async with running("sqlite:///:memory:") as client:
        without = await client.post("/auth/logout")
        await client.sign_in(await make_user(client.sigra))
        with_one = await client.post("/auth/logout")

    assert without.status_code == with_one.status_code == 204
    assert without.headers.get_list("set-cookie") == with_one.headers.get_list("set-cookie")


async def test_one_session_is_revoked_and_foreign_ones_are_404(database: str) -> None:
    async with running(database) as client:
        ada = await make_user(client.sigra)
        bob = await make_user(client.sigra, "bob@example.com")
        phone = Client(client.app, client.sigra)
        await phone.sign_in(ada)
        await client.sign_in(ada)
        others = Client(client.app, client.sigra)
        await others.sign_in(bob)
        listed = (await client.get("/auth/sessions")).json()["sessions"]
        [other] = [session["id"] for session in listed if not session["current"]]
        foreign = await others.delete(f"/auth/sessions/{other}")
        absent = await others.delete("/auth/sessions/00000000-0000-0000-0000-000000000000")
        garbage = await others.delete("/auth/sessions/nonsense")
        revoked = await client.delete(f"/auth/sessions/{other}")
        on_phone = await phone.get("/auth/session")

    assert foreign.status_code == absent.status_code == garbage.status_code == 404
    assert foreign.content == absent.content
    assert revoked.status_code == 204
    assert on_phone.status_code == 401


async def test_all_other_sessions_are_revoked_at_once(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        phone = Client(client.app, client.sigra)
        await phone.sign_in(user)
        await client.sign_in(user)
        response = await client.delete("/auth/sessions")
        here = await client.get("/auth/session")
        there = await phone.get("/auth/session")
        by_key = await phone.get("/", headers={"authorization": f"Bearer {key}"})

    assert response.status_code == 204
    assert here.status_code == 200
    assert there.status_code == 401
    assert by_key.json()["email"] == "ada@example.com"


async def test_a_form_may_say_delete() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        [session] = (await client.get("/auth/sessions")).json()["sessions"]
        response = await client.post(f"/auth/sessions/{session['id']}", data={"_method": "DELETE"})
        json = await client.post("/auth/sessions", json={"_method": "DELETE"})
        other = await client.post("/auth/sessions", data={"_method": "GET"})

    assert response.status_code == 303
    assert json.status_code == 405
    assert other.status_code == 400


async def test_nothing_stored_can_be_presented(database: str) -> None:
    async with running(database) as client:
        await client.sign_in(await make_user(client.sigra))
        secret = client.cookies["sigra"]
        sessions = client.sigra.plugin(_sessions())
        async with client.sigra.db.connect() as tx:
            row = (await tx.execute(select(sessions.table))).one()

    assert secret not in str(row)
    assert secret.encode() not in bytes(row.digest)


async def test_what_has_expired_is_deleted_by_the_worker(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        clock.tick(timedelta(hours=24))
        await Client(client.app, client.sigra).sign_in(user)
        await client.sigra.worker.work()
        async with client.sigra.db.connect() as tx:
            kept = list(await tx.scalars(select(client.sigra.plugin(Sessions).table.c.created_at)))

    assert kept == [clock()]

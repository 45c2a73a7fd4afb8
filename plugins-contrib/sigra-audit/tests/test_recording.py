"""Every event of every plugin is one row, in the transaction of its fact."""

import uuid
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from sqlalchemy import delete

from sigra import Event, SignInFailed, hookimpl
from sigra.testing import PASSWORD, make_user
from tests.policies import Factor


@dataclass(frozen=True, kw_only=True)
class Strange(Event):
    """Of a plugin that nobody knows."""

    name: ClassVar[str] = "strange.happened"


class Stubborn:
    """Records nothing of one kind."""

    name, api = "stubborn", 1

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @hookimpl
    async def record_event(self, event: Event) -> None:
        if event.name == self.kind:
            raise RuntimeError("no")


async def test_a_sign_in_is_one_row_that_says_who_what_and_from_where(room, database):
    async with room(database) as here:
        user = await make_user(here.auth)
        await here.client.sign_in(user)
        [row] = [row for row in await here.rows() if row["name"] == "sign_in.succeeded"]

        assert row["subject_id"] == row["actor_id"] == str(user.id)
        assert row["client"] == "203.0.113.7"
        assert row["user_agent"].startswith("python-httpx")
        assert row["outcome"] == "success"
        assert row["metadata"] == '{"carrier":"session","amr":["pwd"],"assurance":"aal1"}'
        [session] = await here.rows("sigra_sessions")
        assert row["session_id"] == str(session["id"])
        assert len(row["request_id"]) == 32


async def test_a_wrong_password_is_a_row_without_the_address(room, database):
    async with room(database) as here:
        user = await make_user(here.auth)
        await here.client.sign_in(user, "a wrong password")
        [row] = [row for row in await here.rows() if row["name"] == "sign_in.failed"]

        assert row["outcome"] == "failure"
        assert row["actor_id"] is None
        assert "ada" not in row["metadata"]
        assert here.audit.keys.pseudonym("ADA@example.com ") in row["metadata"]


async def test_an_event_of_a_plugin_that_nobody_knows_is_a_row(room, database):
    async with room(database) as here:
        await here.emit(Strange(user_id=uuid.UUID(int=7), metadata={"reason": "curiosity", "n": 1}))
        [row] = await here.rows()

        assert (row["name"], row["reason"], row["subject_id"]) == (
            "strange.happened",
            "curiosity",
            str(uuid.UUID(int=7)),
        )


async def test_what_the_command_line_does_has_no_actor_and_no_client(room, database):
    async with room(database) as here:
        await make_user(here.auth)
        [row] = await here.rows()

        assert (row["name"], row["actor_id"], row["client"], row["request_id"]) == ("user.created", None, None, None)


@pytest.mark.parametrize("kind", ["sign_in.succeeded", "sign_in.failed", "user.created"])
async def test_hc47_a_plugin_that_cannot_record_undoes_the_fact_and_the_row(room, database, kind):
    async with room(database, Stubborn(kind)) as here:
        if kind != "user.created":
            user = await make_user(here.auth)
            refused = await here.client.sign_in(user, PASSWORD if kind == "sign_in.succeeded" else "wrong")
            assert refused.status_code == 503
        else:
            with pytest.raises(Exception, match=r"."):
                await make_user(here.auth)

        assert kind not in await here.names()
        assert await here.rows("sigra_sessions") == []


async def test_hc47_a_row_that_cannot_be_written_undoes_the_fact(room, database):
    async with room(database) as here:
        user = await make_user(here.auth)
        await here.auth.db.transaction(lambda tx: tx.exec_driver_sql("DROP TABLE sigra_audit"))
        refused = await here.client.sign_in(user)

        assert refused.status_code == 503
        assert await here.rows("sigra_sessions") == []


async def test_hc46_a_fact_that_is_undone_has_no_row(room, database):
    async with room(database) as here:
        user = await make_user(here.auth)

        async def undone(tx: Any) -> None:
            await here.auth.emit(tx, Strange(user_id=user.id))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await here.auth.db.transaction(undone)

        assert await here.names() == ["user.created"]


async def test_hc46_a_challenge_and_its_end_have_a_row_each(room, database):
    async with room(database, Factor()) as here:
        user = await make_user(here.auth)
        token = (await here.client.sign_in(user)).json()["login_token"]
        await here.client.post("/auth/login/factor", json={"code": "right", "login_token": token})

        assert await here.names() == ["user.created", "sign_in.challenged", "sign_in.succeeded"]


async def test_rows_outlive_the_account_that_they_tell_of(room, database):
    async with room(database) as here:
        user = await make_user(here.auth)
        users = here.auth.metadata.tables["sigra_users"]
        await here.execute(delete(users).where(users.c.id == user.id))
        await here.seal()

        assert await here.names() == ["user.created"]
        assert (await here.verify()).count == 1


async def test_rows_of_one_moment_sort_in_the_order_in_which_they_were_written(room, database):
    async with room(database) as here:
        await here.emit(*(Strange(metadata={"n": n}) for n in range(50)))

        assert [entry.metadata for entry in await here.entries()] == [f'{{"n":{n}}}' for n in range(50)]


async def test_odd_events_are_rows_all_the_same(room, database):
    odd: list[Any] = [
        SignInFailed(user_id=5, actor_id="x" * 500, metadata=None, client=b"1", user_agent=7),
        SignInFailed(user_id="a\x00b", metadata=["a", "list"], outcome="\x1b[31m" * 90, request_id="\ud800"),
        SignInFailed(metadata={1: {2: object()}}, user_agent="\U0001f600" * 2000, session_id={"a": 1}),
    ]
    async with room(database) as here:
        await here.emit(*odd)
        await here.seal()

        assert [entry.subject_id for entry in await here.entries()] == ["5", "a\\u0000b", None]
        assert (await here.verify()).count == 3

"""Users see what happened to their own account, and nothing of anybody else's."""

import uuid
from dataclasses import dataclass
from typing import ClassVar

import pytest

from sigra import Event
from sigra.testing import make_api_key, make_user

PATH = "/auth/audit/events"


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    name: ClassVar[str] = "noted"


async def signed_in(here, email="ada@example.com"):
    user = await make_user(here.auth, email)
    await here.client.sign_in(user)
    return user


async def test_a_user_sees_the_own_rows_the_newest_first(room, database):
    async with room(database) as here:
        user = await signed_in(here)
        await here.emit(Noted(user_id=uuid.uuid4(), actor_id=user.id), Noted(user_id=None))
        answer = await here.client.get(PATH)

        assert answer.status_code == 200
        assert [one["name"] for one in answer.json()["events"]] == ["sign_in.succeeded", "user.created"]
        assert answer.json()["next"] is None
        assert answer.json()["events"][0]["client"] == "203.0.113.7"


async def test_pages_have_every_row_once(room, database):
    async with room(database) as here:
        user = await signed_in(here)
        await here.emit(*(Noted(user_id=user.id) for _ in range(250)))
        seen, cursor = [], ""
        while cursor is not None:
            page = (await here.client.get(f"{PATH}?limit=100{cursor and '&cursor=' + cursor}")).json()
            seen += [one["id"] for one in page["events"]]
            cursor = page["next"]

        assert len(seen) == len(set(seen)) == 252
        assert seen == sorted(seen, reverse=True)


async def test_fifty_rows_are_a_page_unless_another_number_is_asked_for(room, database):
    async with room(database) as here:
        user = await signed_in(here)
        await here.emit(*(Noted(user_id=user.id) for _ in range(60)))

        assert len((await here.client.get(PATH)).json()["events"]) == 50
        assert len((await here.client.get(f"{PATH}?limit=7")).json()["events"]) == 7


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1e1", "", "9" * 5000, "%D9%A1", "1%00", "ten"])
async def test_a_limit_beyond_a_hundred_is_refused(room, database, limit):
    async with room(database) as here:
        await signed_in(here)
        answer = await here.client.get(f"{PATH}?limit={limit}")

        assert (answer.status_code, answer.json()["code"]) == (400, "audit_invalid_page")


async def cursor_of(here):
    return (await here.client.get(f"{PATH}?limit=1")).json()["next"]


async def test_hc22_a_cursor_is_of_use_to_nobody_else(room, database):
    async with room(database) as here:
        await signed_in(here)
        cursor = await cursor_of(here)
        here.client.cookies.clear()
        await signed_in(here, "bob@example.com")
        answer = await here.client.get(f"{PATH}?cursor={cursor}")

        assert answer.status_code == 400


@pytest.mark.parametrize(
    "wrong",
    ["", "x", "A" * 43, "A" * 42 + "B", "../../etc", "%00", "\u0661" * 43, "bd30298e-7e45-4f79-9bea"],
)
async def test_a_cursor_that_somebody_made_up_is_refused(room, database, wrong):
    async with room(database) as here:
        await signed_in(here)

        assert (await here.client.get(PATH, params={"cursor": wrong})).status_code == 400


async def test_a_cursor_that_was_changed_is_refused(room, database):
    async with room(database) as here:
        await signed_in(here)
        cursor = await cursor_of(here)

        for place in (0, 10, 21, 22, 30, 42):
            changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
            assert (await here.client.get(f"{PATH}?cursor={changed}")).status_code == 400


async def test_of_somebody_else_who_acted_neither_who_nor_from_where_is_shown(room, database):
    async with room(database) as here:
        user = await signed_in(here)
        await here.emit(Noted(user_id=user.id, actor_id=uuid.uuid4(), metadata={"note": "internal"}))
        table = here.audit.tables.entries
        [row] = [row for row in await here.rows() if row["name"] == "noted"]
        assert row["metadata"] == '{"note":"internal"}'
        answer = (await here.client.get(f"{PATH}?limit=1")).json()["events"][0]

        assert answer["own"] is False
        assert (answer["client"], answer["user_agent"]) == (None, None)
        assert set(answer) == {"id", "occurred_at", "name", "outcome", "own", "client", "user_agent"}
        assert "internal" not in str(answer)
        assert table.name == "sigra_audit"


async def test_nobody_and_programs_see_nothing(room, database):
    async with room(database) as here:
        user = await make_user(here.auth)
        key = await make_api_key(here.auth, user)

        assert (await here.client.get(PATH)).status_code == 401
        assert (await here.client.get(PATH, headers={"authorization": f"Bearer {key}"})).status_code == 403


async def test_the_account_page_shows_what_happened_lately(room, database):
    async with room(database) as here:
        user = await signed_in(here)
        await here.emit(Noted(user_id=user.id, outcome="failure", client="<b>x</b>"))
        page = await here.client.get("/auth/account", headers={"accept": "text/html"})

        assert page.status_code == 200
        assert 'id="activity"' in page.text
        assert "Signed in" in page.text
        assert "<strong>Noted</strong>" in page.text


async def test_hc38_what_the_client_sent_is_text_on_the_page(room, database):
    async with room(database) as here:
        user = await make_user(here.auth)
        here.client.headers["user-agent"] = "<script>alert(1)</script>\u202e".encode().decode("latin-1")
        await here.client.sign_in(user)
        page = await here.client.get("/auth/account", headers={"accept": "text/html"})

        assert "<script>alert(1)" not in page.text
        assert "\u202e" not in page.text


async def test_an_export_holds_the_own_rows_and_no_others(room, database):
    async with room(database) as here:
        user = await signed_in(here)
        await here.emit(Noted(user_id=uuid.uuid4()))
        held = (await here.client.get("/auth/account/export")).json()

        assert [one["name"] for one in held["audit"]] == ["sign_in.succeeded", "user.created"]
        assert user.id

"""Proven again: all that the account asks for, in a session of a new id; and the page where people do so."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from jinja2 import BaseLoader, DictLoader
from sqlalchemy import select
from starlette.requests import Request

from sigra import Auth, Login, Part, hookimpl
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import running
from tests.policies import Ban, Door, Factor, Recorder, Waiver

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
KEY = {"name": "ci", "scopes": []}
LATER = timedelta(minutes=6)


async def prove(client: Client, password: str = PASSWORD, **fields: Any) -> httpx2.Response:
    return await client.post("/auth/reauthenticate", json={"password": password, **fields})


async def present(client: Client) -> Any:
    """The present session, or the problem."""
    return (await client.get("/auth/session")).json()


async def make_key(client: Client) -> int:
    """Try what needs a fresh sign-in."""
    return (await client.post("/auth/api-keys", json=KEY)).status_code


# Freshness


async def test_it_is_fresh_afterwards(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(LATER)
        stale = await make_key(client)
        proven = await prove(client)
        fresh = await make_key(client)

    assert proven.status_code == 200
    assert proven.json()["status"] == "signed_in"
    assert (stale, fresh) == (403, 201)


async def test_hc32_the_session_has_a_new_id_and_the_old_one_is_dead(database: str) -> None:
    async with running(database) as client, Client(client.app, client.sigra) as thief:
        await client.sign_in(await make_user(client.sigra))
        thief.cookies.update(client.cookies)
        before = (await present(client))["session"]["id"]
        proven = await prove(client)

        assert proven.json()["session"]["id"] != before
        assert (await present(client))["session"]["id"] == proven.json()["session"]["id"]
        assert (await thief.get("/auth/session")).status_code == 401
        assert len((await client.get("/auth/sessions")).json()["sessions"]) == 1


async def test_a_wrong_password_changes_nothing_and_is_counted() -> None:
    clock, recorder = FrozenClock(), Recorder()
    async with running(MEMORY, ["defaults", recorder], clock=clock) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        before = await present(client)
        clock.tick(LATER)
        recorder.attempts.clear()
        wrong = await prove(client, "wrong")
        [attempt], failed = recorder.attempts, recorder.recorded[-1]

        assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
        assert (attempt.method, attempt.email, attempt.user) == ("password", user.email, user)
        assert (failed.name, failed.user_id) == ("sign_in.failed", user.id)
        assert (await present(client))["session"]["id"] == before["session"]["id"]
        assert await make_key(client) == 403


async def test_another_users_password_is_a_wrong_one() -> None:
    async with running(MEMORY) as client:
        await make_user(client.sigra, "bob@example.com", "another password altogether")
        await client.sign_in(await make_user(client.sigra))
        wrong = await prove(client, "another password altogether")
        named = await prove(client, "another password altogether", email="bob@example.com")

    assert [answer.json()["code"] for answer in (wrong, named)] == ["invalid_credentials"] * 2


async def test_a_ban_holds_here_too(database: str) -> None:
    ban = Ban("")
    async with running(database, ["defaults", ban]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        ban.email = user.email or ""
        before = await present(client)
        refused = await prove(client)

        assert (refused.status_code, refused.json()["code"]) == (403, "refused")
        assert await present(client) == before


async def test_nobody_and_a_key_prove_nothing() -> None:
    async with running(MEMORY) as client:
        user = await make_user(client.sigra)
        bearer = {"authorization": f"Bearer {await make_api_key(client.sigra, user)}"}
        nobody = await prove(client)
        program = await client.post("/auth/reauthenticate", json={"password": PASSWORD}, headers=bearer)

    assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated")
    assert (program.status_code, program.json()["code"]) == (403, "session_required")


async def test_an_account_without_a_password_is_told_what_to_do_and_nothing_is_counted() -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", recorder]) as client:
        await client.sign_in_as(await make_user(client.sigra, password=None), "hwk")
        recorder.attempts.clear()
        answer = await prove(client)
        page = await client.get("/auth/reauthenticate", headers=PAGE)

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "no password" in answer.json()["detail"]
    assert recorder.attempts == []
    assert "Send me a link by mail" in page.text
    assert 'type="password"' not in page.text


async def test_a_remembered_session_stays_remembered(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        await client.sign_in(await make_user(client.sigra), remember=True)
        clock.tick(timedelta(days=3))
        proven = await prove(client)
        clock.tick(timedelta(days=13))

        assert "Max-Age=2592000" in proven.headers["set-cookie"]
        assert (await client.get("/auth/session")).status_code == 200


async def test_a_session_of_the_browser_stays_one_of_the_browser() -> None:
    async with running(MEMORY) as client:
        await client.sign_in(await make_user(client.sigra))
        proven = await prove(client)

    assert all("Max-Age" not in one for one in proven.headers.get_list("set-cookie") if one.startswith("sigra="))


async def test_two_at_once_leave_one_session_each_at_most(database: str) -> None:
    async with running(database) as client:
        await client.sign_in(await make_user(client.sigra))
        twins = [Client(client.app, client.sigra, cookies=None) for _ in range(2)]
        for twin in twins:
            twin.cookies.update(client.cookies)
        answers = await asyncio.gather(*(prove(twin) for twin in twins))
        old = await client.get("/auth/session")

    assert {answer.status_code for answer in answers} <= {200, 401}
    assert old.status_code == 401


# At the account's full strength


async def full(client: Client, *, password: str = PASSWORD) -> None:
    """Sign in with every factor."""
    await client.sign_in(await make_user(client.sigra), password)
    await client.post("/auth/login/factor", json={"code": "right"})


async def test_hc10_what_else_the_account_asks_for_is_owed_again(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Factor()], clock=clock) as client:
        await full(client)
        before = (await present(client))["session"]["id"]
        clock.tick(LATER)
        first = await prove(client)
        between = (await present(client))["session"]["id"], await make_key(client)
        last = await client.post("/auth/login/factor", json={"code": "right"})
        fresh = await make_key(client)

    assert (first.status_code, first.json()["status"]) == (202, "challenge")
    assert first.json()["challenges"] == [{"kind": "mfa", "methods": ["factor"]}]
    assert between == (before, 403)
    assert (last.status_code, fresh) == (200, 201)
    assert last.json()["session"]["id"] != before


async def test_hc10_a_browser_that_is_spared_a_factor_is_not_fresh_until_it_was_given(database: str) -> None:
    async with running(database, ["defaults", Factor(), Waiver({"mfa"})]) as client:
        signed_in = await client.sign_in(await make_user(client.sigra))
        spared = await make_key(client)
        challenged = await prove(client)
        between = await make_key(client)
        await client.post("/auth/login/factor", json={"code": "right"})
        fresh = await make_key(client)
        session = await present(client)

    assert (signed_in.status_code, spared) == (200, 403)
    assert (challenged.status_code, between) == (202, 403)
    assert fresh == 201
    assert session["identity"]["assurance"] == "aal2"


async def test_hc10_a_first_factor_of_another_plugin_is_asked_for_all_when_signed_in() -> None:
    door = Door(lambda auth, request: auth.sign_in(request, Login(door.user, ("hwk",))))
    async with running(MEMORY, ["defaults", Factor(), Waiver({"mfa"}), door]) as client:
        door.user = await make_user(client.sigra)
        first = await client.post("/auth/door")
        again = await client.post("/auth/door")

    assert (first.status_code, again.status_code) == (200, 202)


async def test_a_waiver_of_what_was_met_anyway_takes_nothing_away() -> None:
    async with running(MEMORY, ["defaults", Factor("one"), Factor("two", kind="terms"), Waiver({"mfa"})]) as client:
        await client.sign_in(await make_user(client.sigra))
        await client.post("/auth/login/two", json={"code": "right"})
        waived = await make_key(client)
        await client.sign_out()
        await client.sign_in(await client.sigra.users.by_email("ada@example.com"))  # type: ignore[arg-type]
        await client.post("/auth/login/one", json={"code": "right"})
        await client.post("/auth/login/two", json={"code": "right"})
        met = await make_key(client)

    assert (waived, met) == (403, 201)


async def test_hc32_a_sign_in_that_is_waiting_renews_the_session_that_began_it(database: str) -> None:
    async with running(database, ["defaults", Factor()]) as client, Client(client.app, client.sigra) as thief:
        await full(client)
        await prove(client)
        thief.cookies.update(client.cookies)
        await client.post("/auth/login/factor", json={"code": "right"})
        async with client.sigra.db.connect() as tx:
            rows = (await tx.execute(select(client.sigra.metadata.tables["sigra_sessions"].c.id))).all()

        assert len(rows) == 1
        assert (await thief.get("/auth/session")).status_code == 401


async def test_hc32_a_waiting_sign_in_of_one_user_does_not_end_in_the_browser_of_another() -> None:
    async with running(MEMORY, ["defaults", Factor()]) as client, Client(client.app, client.sigra) as other:
        await full(client)
        token = (await prove(client)).json()["login_token"]
        await other.sign_in(await make_user(client.sigra, "bob@example.com"))
        await other.post("/auth/login/factor", json={"code": "right"})
        refused = await other.post("/auth/login/factor", json={"code": "right", "login_token": token})
        session = await present(other)

    assert (refused.status_code, refused.json()["code"]) == (409, "other_account")
    assert session["user"]["email"] == "bob@example.com"


# The page


async def test_the_page_says_who_is_signed_in_and_asks_for_the_password() -> None:
    async with running(MEMORY) as client:
        await client.sign_in(await make_user(client.sigra))
        page = await client.get("/auth/reauthenticate?next=/private", headers=PAGE)
        form = await client.as_browser().post("/auth/reauthenticate?next=/private", data={"password": PASSWORD})

    assert page.status_code == 200
    assert "ada@example.com" in page.text
    assert 'action="/auth/reauthenticate?next=/private"' in page.text
    assert 'action="/auth/logout"' in page.text
    assert (form.status_code, form.headers["location"]) == (303, "/private")


async def test_a_wrong_password_shows_the_page_again_and_keeps_where_to_go() -> None:
    async with running(MEMORY) as client:
        await client.sign_in(await make_user(client.sigra))
        again = await client.post("/auth/reauthenticate?next=/private", data={"password": "wrong"})

    assert again.status_code == 401
    assert again.headers["content-type"].startswith("text/html")
    assert "not right" in again.text
    assert 'action="/auth/reauthenticate?next=/private"' in again.text
    assert "wrong" not in again.text


async def test_a_form_with_a_second_factor_goes_to_the_challenge_and_ends_where_it_wanted() -> None:
    async with running(MEMORY, ["defaults", Factor()]) as client:
        await full(client)
        first = await client.post("/auth/reauthenticate", data={"password": PASSWORD, "next": "/private"})
        last = await client.post("/auth/login/factor", data={"code": "right"})

    assert (first.status_code, first.headers["location"]) == (303, "/auth/login/challenge")
    assert (last.status_code, last.headers["location"]) == (303, "/private")


@pytest.mark.parametrize("target", ["//evil.test", "/\\evil.test", "https://evil.test/", "/%2fevil.test", "/a\t/b"])
async def test_hc36_nobody_is_sent_to_another_origin_after_a_proof(target: str) -> None:
    async with running(MEMORY, home="/welcome") as client:
        await client.sign_in(await make_user(client.sigra))
        by_field = await client.post("/auth/reauthenticate", data={"password": PASSWORD, "next": target})
        by_address = await client.post("/auth/reauthenticate", params={"next": target}, data={"password": PASSWORD})
        nobody = await Client(client.app, client.sigra).get(
            "/auth/reauthenticate", params={"next": target}, headers=PAGE
        )

    assert by_field.headers["location"] == by_address.headers["location"] == "/welcome"
    assert nobody.headers["location"] == "/auth/login"


async def test_hc38_where_to_go_is_escaped_on_the_page() -> None:
    async with running(MEMORY) as client:
        await client.sign_in(await make_user(client.sigra))
        page = await client.get("/auth/reauthenticate", params={"next": '/"><script>alert(1)</script>'}, headers=PAGE)

    assert "<script" not in page.text
    assert "no-store" in page.headers["cache-control"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_nobody_is_sent_to_sign_in_and_then_to_where_they_wanted() -> None:
    async with running(MEMORY) as client:
        person = await client.get("/auth/reauthenticate?next=/private", headers=PAGE)
        plain = await client.get("/auth/reauthenticate", headers=PAGE)

    assert (person.status_code, person.headers["location"]) == (303, "/auth/login?next=%2Fprivate")
    assert plain.headers["location"] == "/auth/login"


async def test_other_plugins_put_their_ways_on_the_page() -> None:
    class Passkeys:
        name, api = "passkeys_button", 1

        @hookimpl
        async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
            return [Part("alternatives", 1, "button.html")] if page == "reauthenticate" else None

        @hookimpl
        def register_templates(self) -> Sequence[BaseLoader]:
            return [DictLoader({"button.html": "<button>Use a passkey</button>"})]

    async with running(MEMORY, ["defaults", Passkeys()]) as client:
        await client.sign_in_as(await make_user(client.sigra, password=None), "hwk")
        page = await client.get("/auth/reauthenticate", headers=PAGE)

    assert "Use a passkey" in page.text
    assert "no password" not in page.text


async def test_without_pages_there_is_none_and_programs_prove_all_the_same() -> None:
    async with running(MEMORY, ["defaults", "-pages"]) as client:
        await client.sign_in(await make_user(client.sigra))
        page = await client.get("/auth/reauthenticate", headers=PAGE)
        proven = await prove(client)

    assert page.status_code == 405
    assert proven.status_code == 200


async def test_without_passwords_the_page_is_for_the_others() -> None:
    async with running(MEMORY, ["defaults", "-password", "-password_reset"]) as client:
        await client.sign_in_as(await make_user(client.sigra, password=None), "hwk")
        page = await client.get("/auth/reauthenticate", headers=PAGE)
        posted = await prove(client)

    assert page.status_code == 200
    assert posted.status_code == 405


# Renewal by another plugin


@dataclass
class Leaver:
    """A change of a stranger's that ends everything else."""

    name: str = "leaver"
    api: int = 1

    async def __call__(self, auth: Auth, request: Request) -> Any:
        async def change(tx: Any, user: Any) -> None:
            await auth.revoke(tx, user, "factor_removed", request.scope["sigra.identity"].session_id)

        return await auth.renew(request, change)


async def test_hc32_a_renewal_gives_a_new_id_and_secret_and_nothing_more(database: str) -> None:
    clock = FrozenClock()
    async with (
        running(database, ["defaults", Door(Leaver())], clock=clock) as client,
        Client(client.app, client.sigra) as thief,
        Client(client.app, client.sigra) as other,
    ):
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await other.sign_in(user)
        thief.cookies.update(client.cookies)
        before = await present(client)
        clock.tick(LATER)
        renewed = await client.post("/auth/door")
        known = await client.get("/auth/session")
        after = known.json()

        assert (renewed.status_code, renewed.content) == (204, b"")
        assert known.status_code == 200
        assert after["session"].pop("id") != before["session"].pop("id")
        assert after["session"].pop("last_used_at") > before["session"].pop("last_used_at")
        assert after == before
        assert await make_key(client) == 403
        assert (await thief.get("/auth/session")).status_code == 401
        assert (await other.get("/auth/session")).status_code == 401


async def test_a_renewal_of_a_session_with_something_waived_is_not_fresh() -> None:
    async with running(MEMORY, ["defaults", Factor(), Waiver({"mfa"}), Door(Leaver())]) as client:
        await client.sign_in(await make_user(client.sigra))
        renewed = await client.post("/auth/door")

        assert renewed.status_code == 204
        assert await make_key(client) == 403


async def test_nobody_and_a_key_renew_nothing() -> None:
    async with running(MEMORY, ["defaults", Door(Leaver())]) as client:
        user = await make_user(client.sigra)
        bearer = {"authorization": f"Bearer {await make_api_key(client.sigra, user)}"}
        nobody = await client.post("/auth/door")
        program = await client.post("/auth/door", headers=bearer)

    assert nobody.status_code == 401
    assert (program.status_code, program.json()["code"]) == (403, "session_required")


async def test_without_a_carrier_nothing_is_renewed_and_nothing_changes() -> None:
    async def enter(auth: Auth, request: Request) -> Any:
        async def change(tx: Any, user: Any) -> None:
            # Whatever carried it is gone before it can be renewed.
            await auth.revoke(tx, user, "sign_out")

        return await auth.renew(request, change)

    async with running(MEMORY, ["defaults", Door(enter)]) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await client.post("/auth/door")

        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert (await client.get("/auth/session")).status_code == 200

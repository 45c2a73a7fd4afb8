"""The account: its profile as JSON, and the page on which each plugin has its section."""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
from sqlalchemy import JSON, LargeBinary, Numeric, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sigra import Action, Refused, Sigra, hookimpl
from sigra.db import UserColumns, UTCDateTime
from sigra.models import User
from sigra.plugins.api_keys import APIKeys
from sigra.plugins.password import Password
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, installation, make_api_key, make_user
from sigra.testing.clock import START
from tests.apps import application, running
from tests.ledger import Ledger

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
HOSTILE = "\"'><script>alert(1)</script>"
NEW = "a new long pass phrase"


async def signed_in(client: Client, **user: Any) -> Client:
    """A browser in which somebody is signed in."""
    await client.sign_in(await make_user(client.sigra, **user))
    return client.as_browser()


async def account(client: httpx2.AsyncClient, query: str = "") -> httpx2.Response:
    return await client.get(f"/auth/account{query}", headers=PAGE)


def action(page: httpx2.Response, path: str) -> str:
    """Where the form of the page that posts to `path` does so, `next` and all."""
    return re.search(rf'action="(/auth/{path}(?:\?[^"]*)?)"', page.text)[1].replace("&amp;", "&")


# As JSON


async def test_the_account_says_who_its_user_is(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra, name="Ada")
        await client.sign_in(user)
        answer = await client.get("/auth/account")

    assert answer.status_code == 200
    assert answer.json() == {
        "id": str(user.id),
        "email": "ada@example.com",
        "email_verified": True,
        "name": "Ada",
        "locale": None,
    }


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_nobody_has_no_account(method: str) -> None:
    async with running(MEMORY) as client:
        refused = await client.request(method, "/auth/account", json={"name": "x"})

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_hc25_a_key_neither_reads_nor_changes_the_account(method: str) -> None:
    async with running(MEMORY) as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        headers = {"authorization": f"Bearer {key}"}
        refused = await client.request(method, "/auth/account", json={"name": "x"}, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "session_required")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Grace Hopper", "Grace Hopper"),
        ("  Grace  ", "Grace"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("x" * 200, "x" * 200),
        ("", None),
        ("   ", None),
        (None, None),
    ],
)
async def test_a_name_is_changed_or_removed(name: str | None, kept: str | None) -> None:
    async with running(MEMORY) as client:
        await signed_in(client, name="Ada")
        answer = await client.patch("/auth/account", json={"name": name})
        after = await client.get("/auth/account")

    assert answer.status_code == 200
    assert answer.json()["name"] == after.json()["name"] == kept


@pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "a\u2066b", "a\x00b", "a\x1bb", "x" * 201, 7, ["a"]])
async def test_what_is_no_name_is_refused(name: Any) -> None:
    async with running(MEMORY) as client:
        await signed_in(client, name="Ada")
        refused = await client.patch("/auth/account", json={"name": name})
        after = await client.get("/auth/account")

    assert refused.status_code in (400, 422)
    assert after.json()["name"] == "Ada"


async def test_what_is_not_named_stays(database: str) -> None:
    ledger = Ledger()
    async with running(database, ["defaults", ledger]) as client:
        await signed_in(client, name="Ada")
        answers = [await client.patch("/auth/account", json=body) for body in ({}, {"name": "Ada"})]
        names = await recorded(client, ledger)

    assert [answer.json()["name"] for answer in answers] == ["Ada", "Ada"]
    assert "account.profile_changed" not in names


@pytest.mark.parametrize(
    ("tag", "kept"),
    [
        ("de", "de"),
        ("PT-br", "pt-BR"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("de-1996", "de-1996"),
        ("sl-rozaj-biske", "sl-rozaj-biske"),
        ("en-US-X-US", "en-US-x-us"),
        ("", None),
        (None, None),
    ],
)
async def test_the_language_of_mails_is_a_tag_in_the_usual_letters(tag: str | None, kept: str | None) -> None:
    async with running(MEMORY) as client:
        await signed_in(client, name="Ada")
        answer = await client.patch("/auth/account", json={"locale": tag})
        after = await client.get("/auth/account")
        session = await client.get("/auth/session")

    assert answer.json() == after.json()
    assert (after.json()["locale"], after.json()["name"]) == (kept, "Ada")
    assert "locale" not in session.json()["user"]


@pytest.mark.parametrize(
    "tag", ["d", "de_DE", "germanlanguage", "de-", "-de", "de\n", "d\u0435", "\u017fl", "x" * 36, 7, "de-DE-DE"]
)
async def test_what_is_no_language_tag_is_refused(tag: Any) -> None:
    async with running(MEMORY) as client:
        await signed_in(client)
        refused = await client.patch("/auth/account", json={"locale": tag})
        after = await client.get("/auth/account")

    assert refused.status_code in (400, 422)
    assert after.json()["locale"] is None


async def test_a_language_that_stays_is_kept_when_the_name_changes() -> None:
    async with running(MEMORY) as client:
        await signed_in(client, name="Ada")
        await client.patch("/auth/account", json={"locale": "de"})
        answer = await client.patch("/auth/account", json={"name": "Grace"})

    assert (answer.json()["name"], answer.json()["locale"]) == ("Grace", "de")


async def recorded(client: Client, ledger: Ledger) -> list[str]:
    async with client.sigra.db.connect() as tx:
        return list((await tx.execute(select(ledger.table.c.name))).scalars())


@pytest.mark.parametrize("face", ["json", "data"])
async def test_hc9_further_members_change_nothing(face: str) -> None:
    more = {"email": "x@example.com", "email_verified": "false", "id": "7", "is_admin": "true", "status": "closing"}
    async with running(MEMORY) as client:
        browser = await signed_in(client, name="Ada")
        before = (await client.get("/auth/account")).json()
        method = "PATCH" if face == "json" else "POST"
        form = {} if face == "json" else {"_method": "PATCH"}
        await browser.request(method, "/auth/account", **{face: {"name": "Eve", **more, **form}})  # type: ignore[arg-type]
        after = (await client.get("/auth/account")).json()

    assert after == {**before, "name": "Eve"}


async def test_a_change_is_asked_about_and_recorded_in_its_transaction(database: str) -> None:
    class Strict:
        name, api = "strict", 1

        def __init__(self) -> None:
            self.asked: list[str] = []

        @hookimpl
        async def before_action(self, tx: AsyncConnection, action: Action) -> None:
            self.asked.append(action.name)
            if action.user.name == "Grace":
                raise Refused

    strict, ledger = Strict(), Ledger()
    async with running(database, ["defaults", strict, ledger]) as client:
        await signed_in(client, name="Ada")
        changed = await client.patch("/auth/account", json={"name": "Grace"})
        refused = await client.patch("/auth/account", json={"name": "Ada"})
        after = await client.get("/auth/account")
        names = await recorded(client, ledger)

    assert (changed.status_code, refused.status_code) == (200, 403)
    assert after.json()["name"] == "Grace"
    assert strict.asked == ["sign_in", "change_profile", "change_profile"]
    assert names.count("account.profile_changed") == 1


# What is held


async def test_the_export_has_what_every_plugin_holds_and_nothing_secret(database: str) -> None:
    ledger = Ledger()
    async with running(database, ["defaults", ledger]) as client:
        user = await make_user(client.sigra, name="Ada")
        key = await make_api_key(client.sigra, user, "reports:read", name="Deploy")
        other = await make_user(client.sigra, "eve@example.com")
        await make_api_key(client.sigra, other, name="Eve's")
        await client.sign_in(user)
        answer = await client.get("/auth/account/export")
        names = await recorded(client, ledger)
        hash = await stored_hash(client.sigra, user)

    held = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="account.json"'
    assert answer.headers["content-type"] == "application/json"
    assert held["exported_at"] == "2026-01-01T12:00:00Z"
    assert held["account"] == {
        "id": str(user.id),
        "email": "ada@example.com",
        "email_verified": True,
        "name": "Ada",
        "locale": None,
        "status": "active",
        "columns": {},
    }
    assert held["password"] == {"set_at": "2026-01-01T12:00:00Z"}
    assert [one["name"] for one in held["api_keys"]] == ["Deploy"]
    assert [one["ip"] for one in held["sessions"]] == ["203.0.113.7"]
    assert names[-1] == "account.exported"
    assert not [secret for secret in (key, hash, client.cookies["sigra"], "eve@") if secret in answer.text]


async def stored_hash(auth: Sigra, user: User) -> str:
    async with auth.db.connect() as tx:
        table = auth.plugin(Password).table
        return (await tx.execute(select(table.c.hash).where(table.c.user_id == user.id))).scalar_one()


async def test_the_export_needs_a_fresh_sign_in_and_brings_a_person_back_to_it() -> None:
    clock = FrozenClock()
    async with running(MEMORY, clock=clock) as client:
        nobody = await client.get("/auth/account/export")
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        program = await client.get("/auth/account/export", headers={"authorization": f"Bearer {key}"})
        await client.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        clock.tick(timedelta(minutes=6))
        stale = await client.get("/auth/account/export")
        person = await client.get("/auth/account/export", headers=PAGE)

    assert [one.status_code for one in (nobody, program, stale, person)] == [401, 403, 403, 303]
    assert stale.json()["code"] == "reauthentication_required"
    assert person.headers["location"] == "/auth/reauthenticate?next=%2Fauth%2Faccount%2Fexport"


async def test_an_export_that_lacks_a_part_is_none() -> None:
    class Broken:
        name, api = "broken", 1

        @hookimpl
        async def export_user(self, user: User) -> dict[str, Any]:
            raise ValueError("no")

    async with running(MEMORY, ["defaults", Broken()]) as client:
        await signed_in(client)
        answer = await client.get("/auth/account/export")

    assert answer.status_code == 503


class Stored(DeclarativeBase):
    """The host's tables."""


class Person(UserColumns, Stored):
    born: Mapped[date | None] = mapped_column()
    seen: Mapped[datetime | None] = mapped_column(UTCDateTime)
    picture: Mapped[bytes | None] = mapped_column(LargeBinary)
    points: Mapped[int | None] = mapped_column()
    tags: Mapped[Any | None] = mapped_column(JSON)
    share: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))


async def test_the_export_has_the_hosts_columns_as_json_can_say_them() -> None:
    values = {
        "born": date(1815, 12, 10),
        "seen": START,
        "picture": b"\x01\xff",
        "points": 7,
        "tags": {"a": ["b", None]},
        "share": Decimal("1.50"),
    }
    async with (
        installation(cheap_settings(MEMORY), metadata=Stored.metadata) as auth,
        Client(auth.wrap(application), auth) as client,
    ):
        user = await auth.db.transaction(
            lambda tx: auth.users.create(tx, email="ada@example.com", email_verified=True, columns=values)
        )
        await client.sign_in_as(user)
        held = (await client.get("/auth/account/export")).json()

    assert held["account"]["columns"] == {
        "born": "1815-12-10",
        "seen": "2026-01-01T12:00:00Z",
        "picture": "01ff",
        "points": 7,
        "tags": {"a": ["b", None]},
        "share": "1.50",
    }


# As a page


async def test_a_person_who_is_not_signed_in_is_sent_to_sign_in_and_comes_back() -> None:
    async with running(MEMORY) as client:
        user = await make_user(client.sigra)
        refused = await account(client)
        form = {"email": user.email, "password": PASSWORD}
        back = await client.as_browser().post(refused.headers["location"], data=form)
        page = await account(client)

    assert (refused.status_code, refused.headers["location"]) == (303, "/auth/login?next=%2Fauth%2Faccount")
    assert back.headers["location"] == "/auth/account"
    assert "<h1>Your account</h1>" in page.text


async def test_the_page_has_a_section_of_every_plugin() -> None:
    async with running(MEMORY) as client:
        await signed_in(client, name="Ada")
        page = await account(client)

    sections = re.findall(r'<section id="([a-z-]+)" aria-labelledby="\1-heading"', page.text)
    assert sections == ["profile", "email", "password", "sessions", "api-keys", "data"]
    assert 'action="/auth/logout"' in page.text
    assert 'value="Ada"' in page.text and "ada@example.com" in page.text


async def test_no_two_elements_of_the_page_have_one_id_and_every_field_has_its_label() -> None:
    async with running(MEMORY) as client:
        await signed_in(client)
        page = await account(client)

    ids = re.findall(r'\bid="([^"]+)"', page.text)
    fields = re.findall(r'<(?:input|select) id="([^"]+)"', page.text)
    labelled = re.findall(r'<label for="([^"]+)"', page.text) + re.findall(
        r'<label class="check"><input id="([^"]+)"', page.text
    )
    assert len(ids) == len(set(ids))
    assert sorted(fields) == sorted(labelled)


async def test_home_is_the_account_page_where_there_is_one() -> None:
    async def home(*plugins: str, **options: Any) -> str:
        async with running(MEMORY, ["defaults", *plugins], **options) as client:
            user = await make_user(client.sigra)
            answer = await client.as_browser().post("/auth/login", data={"email": user.email, "password": PASSWORD})
            return answer.headers["location"]

    assert await home() == "/auth/account"
    assert await home(home="/dashboard") == "/dashboard"
    assert await home(home="/") == "/"
    assert await home("-account") == "/"
    assert await home("-pages", "-reauthentication") == "/"


# The profile


async def test_a_profile_is_saved_by_a_form_and_says_so() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client, name="Ada")
        page = await account(client)
        saved = await browser.post(action(page, "account"), data={"_method": "PATCH", "name": "Grace"})
        after = await account(client, saved.headers["location"].partition("/auth/account")[2])

    assert (saved.status_code, saved.content) == (303, b"")
    assert saved.headers["location"] == "/auth/account?done=account.changed#profile"
    assert "Your profile was saved." in after.text and 'value="Grace"' in after.text
    assert "Your profile was saved." not in page.text


async def test_the_page_offers_the_languages_of_mails_and_keeps_another() -> None:
    async with running(MEMORY, account={"languages": {"en": "English", "fr": "Fran\u00e7ais"}}) as client:
        browser = await signed_in(client)
        page = await account(client)
        await browser.post("/auth/account", data={"_method": "PATCH", "name": "", "locale": "fr"})
        chosen = await account(client)
        await client.patch("/auth/account", json={"locale": "de"})
        other = await account(client)

    assert 'value="fr" lang="fr">Fran\u00e7ais' in page.text and ">Deutsch<" not in page.text
    assert 'value="fr" lang="fr" selected>' in chosen.text
    assert '<option value="de" selected>de</option>' in other.text


async def test_a_wrong_name_is_told_beside_the_form_and_kept() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client, name="Ada")
        refused = await browser.post("/auth/account", data={"_method": "PATCH", "name": "a\u202eb"})

    assert refused.status_code == 422
    assert 'value="a\u202eb"' in refused.text
    assert 'aria-describedby="account-name-problem" aria-invalid="true"' in refused.text
    assert refused.text.count('role="alert"') == 1
    assert 'id="api-keys-name"' in refused.text and "api-keys-name-problem" not in refused.text


async def test_a_form_goes_on_to_where_its_page_says() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        form = {"_method": "PATCH", "name": "x"}
        by_address = await browser.post("/auth/account?next=/settings%3Fsaved", data=form)
        by_field = await browser.post("/auth/account", data={**form, "next": "/profile"})
        by_default = await browser.post("/auth/account", data=form)

    assert [answer.headers["location"] for answer in (by_address, by_field, by_default)] == [
        "/settings?saved",
        "/profile",
        "/auth/account",
    ]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("logout", {}),
        ("reauthenticate", {"password": PASSWORD}),
        ("password/change", {"current_password": PASSWORD, "new_password": "a quite different sentence"}),
    ],
)
async def test_a_form_that_ends_in_another_session_or_none_goes_on_there_too(path: str, form: dict[str, str]) -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        answer = await browser.post(f"/auth/{path}?next=/address", data={**form, "next": "/field"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/field")


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test", "/\\evil.test", "/a\r\nb", "/x&next=//evil.test"]
)
@pytest.mark.parametrize("place", ["address", "field"])
async def test_hc36_a_form_goes_on_to_nowhere_else(target: str, place: str) -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        answers = []
        for path, form in (("sessions", {"_method": "DELETE"}), ("logout", {"a": "b"})):
            if place == "address":
                answers.append(await browser.post(f"/auth/{path}", params={"next": target}, data=form))
            else:
                answers.append(await browser.post(f"/auth/{path}", data={**form, "next": target}))

    assert [answer.status_code for answer in answers] == [303, 303]
    assert {answer.headers["location"] for answer in answers} <= {"/auth/account", "/x&next=//evil.test"}


async def test_hc36_a_target_that_is_given_twice_is_none() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        answer = await browser.post("/auth/sessions?next=/a&next=/b", data={"_method": "DELETE"})

    assert answer.headers["location"] == "/auth/account"


async def test_a_program_is_answered_as_before() -> None:
    async with running(MEMORY) as client:
        await signed_in(client)
        answer = await client.delete("/auth/sessions?next=/a")

    assert (answer.status_code, answer.headers.get("location")) == (204, None)


# The password


async def test_a_password_is_changed_by_a_form_and_says_so() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        page = await account(client)
        form = {"current_password": PASSWORD, "new_password": NEW}
        changed = await browser.post(action(page, "password/change"), data=form)
        after = await account(client, "?done=password.changed")

    assert changed.status_code == 303
    assert changed.headers["location"] == "/auth/account?done=password.changed#password"
    assert "Your password was changed." in after.text


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"current_password": "not this one", "new_password": NEW}, 401, "The sign-in details are not right."),
        ({"current_password": PASSWORD, "new_password": "short"}, 422, '<a href="#password-change-new_password">'),
        ({"current_password": PASSWORD}, 422, "Fill this in."),
    ],
)
async def test_a_refused_password_is_told_in_its_section_and_none_is_shown(
    form: dict[str, str], status: int, told: str
) -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        refused = await browser.post("/auth/password/change", data=form)

    assert refused.status_code == status
    assert told in refused.text.partition('<section id="password"')[2].partition("</section>")[0]
    assert refused.text.count('role="alert"') == 1
    assert not [value for value in form.values() if value in refused.text]


async def test_an_account_without_a_password_is_offered_to_set_one() -> None:
    clock = FrozenClock()
    async with running(MEMORY, clock=clock) as client:
        user = await make_user(client.sigra, password=None)
        await client.sign_in_as(user, "hwk")
        page = await account(client)
        clock.tick(timedelta(minutes=6))
        stale = await account(client)
        await client.sign_in_as(user, "hwk")
        done = await client.as_browser().post(action(page, "password/set"), data={"new_password": NEW})
        after = await account(client)

    assert "current_password" not in page.text
    assert "password/set" not in stale.text
    assert "/auth/reauthenticate?next=%2Fauth%2Faccount%23password" in stale.text
    assert done.headers["location"] == "/auth/account?done=password.set#password"
    assert "current_password" in after.text


# Sessions


async def test_the_page_lists_the_sessions_and_ends_one_of_them(database: str) -> None:
    async with running(database) as client:
        user = await make_user(client.sigra)
        phone = Client(client.app, client.sigra, headers={"user-agent": "Mozilla/5.0 (iPhone) Version/18 Safari/604"})
        await phone.sign_in(user)
        await client.sign_in(user)
        page = await account(client)
        ended = await client.as_browser().post(action(page, "sessions/[0-9a-f-]+"), data={"_method": "DELETE"})
        gone = await phone.get("/auth/session")
        after = await account(client, "?done=session.ended")

    assert page.text.count("This browser") == 1
    assert "Safari on iPhone" in page.text
    assert ended.headers["location"] == "/auth/account?done=session.ended#sessions"
    assert gone.status_code == 401
    assert "The session was ended." in after.text and "iPhone" not in after.text
    assert "Sign out everywhere else" in page.text and "Sign out everywhere else" not in after.text


async def test_the_page_ends_all_other_sessions() -> None:
    async with running(MEMORY) as client:
        user = await make_user(client.sigra)
        others = [Client(client.app, client.sigra) for _ in range(2)]
        for other in others:
            await other.sign_in(user)
        await client.sign_in(user)
        page = await account(client)
        ended = await client.as_browser().post(action(page, "sessions"), data={"_method": "DELETE"})
        gone = [(await other.get("/auth/session")).status_code for other in others]
        still = await client.get("/auth/session")

    assert ended.headers["location"] == "/auth/account?done=session.others#sessions"
    assert gone == [401, 401]
    assert still.status_code == 200


async def test_a_session_that_is_gone_already_is_told_in_its_section() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        path = "/auth/sessions/00000000-0000-0000-0000-000000000007"
        refused = await browser.post(path, data={"_method": "DELETE"})

    assert refused.status_code == 404
    assert "There is nothing here." in refused.text.partition('<section id="sessions"')[2].partition("</section>")[0]
    assert refused.text.count('role="alert"') == 1


async def test_hc38_a_user_agent_is_only_text() -> None:
    async with running(MEMORY) as client:
        user = await make_user(client.sigra, name=HOSTILE)
        other = Client(client.app, client.sigra, headers={"user-agent": HOSTILE})
        await other.sign_in(user)
        await client.sign_in(user)
        await make_api_key(client.sigra, user, name=HOSTILE)
        page = await account(client)

    assert "Unknown browser" in page.text
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text


# Keys


async def test_a_key_is_made_by_a_form_and_shown_once() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        page = await account(client)
        expiry = re.findall(r'<option value="(2[^"]+)"', page.text)[1]
        form = {"name": "Deploy", "scopes": "deploy:run, reports:read", "expires_at": expiry}
        made = await browser.post(action(page, "api-keys"), data=form)
        after = await account(client)
        [listed] = (await client.get("/auth/api-keys")).json()["api_keys"]
        key = re.search(r"sigra_sk_[\w-]{20,}", made.text)[0]
        async with client.sigra.db.connect() as tx:
            stored = str((await tx.execute(select(client.sigra.plugin(APIKeys).table))).all())
        used = await client.get("/", headers={"authorization": f"Bearer {key}"})

    assert made.status_code == 201
    assert made.headers["content-type"].startswith("text/html") and made.headers["cache-control"] == "no-store"
    assert made.text.count(key) == 1
    assert key not in after.text + stored
    assert listed["scopes"] == ["deploy:run", "reports:read"]
    assert listed["expires_at"] == expiry
    assert used.json()["method"] == "api_key"


@pytest.mark.parametrize("expires_at", ["", None])
async def test_a_key_of_a_form_without_expiry_has_none(expires_at: str | None) -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        form = {"name": "x", "scopes": ""} | ({} if expires_at is None else {"expires_at": expires_at})
        made = await browser.post("/auth/api-keys", data=form)
        [listed] = (await client.get("/auth/api-keys")).json()["api_keys"]

    assert made.status_code == 201
    assert (listed["scopes"], listed["expires_at"]) == ([], None)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": "x", "scopes": "a *"}, "scopes"),
        ({"name": "x", "scopes": "Reports:Read"}, "scopes"),
        ({"name": "x", "scopes": "a" * 65}, "scopes"),
        ({"name": "", "scopes": "a"}, "name"),
        ({"name": "x", "scopes": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "scopes": "a", "expires_at": "tomorrow"}, "expires_at"),
    ],
)
async def test_hc25_a_form_gets_no_key_that_json_does_not_get(form: dict[str, str], field: str) -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        refused = await browser.post("/auth/api-keys", data=form)
        listed = await client.get("/auth/api-keys")

    assert refused.status_code == 422
    assert f'id="api-keys-{field}-problem"' in refused.text
    assert f'value="{form["scopes"]}"' in refused.text and f'value="{form["name"]}"' in refused.text
    assert listed.json() == {"api_keys": []}


async def test_hc25_scopes_of_a_form_are_limited_by_the_operator_too() -> None:
    async with running(MEMORY, api_keys={"scopes": ["reports:read", "reports:write"]}) as client:
        browser = await signed_in(client)
        page = await account(client)
        refused = await browser.post("/auth/api-keys", data={"name": "x", "scopes": "reports:read admin"})

    assert "Any of reports:read, reports:write." in page.text
    assert refused.status_code == 422
    assert 'id="api-keys-scopes-problem"' in refused.text


async def test_hc25_a_form_needs_a_fresh_sign_in_too() -> None:
    clock = FrozenClock()
    async with running(MEMORY, clock=clock) as client:
        browser = await signed_in(client)
        clock.tick(timedelta(minutes=6))
        page = await account(client)
        refused = await browser.post("/auth/api-keys", data={"name": "x"})
        listed = await client.get("/auth/api-keys")
        form = {"password": PASSWORD}
        back = await client.as_browser().post(refused.headers["location"], data=form)
        made = await client.as_browser().post("/auth/api-keys", data={"name": "x"})

    assert 'action="/auth/api-keys"' not in page.text
    assert "/auth/reauthenticate?next=%2Fauth%2Faccount%23api-keys" in page.text
    assert (refused.status_code, listed.json()) == (303, {"api_keys": []})
    assert unquote(refused.headers["location"]) == "/auth/reauthenticate?next=/auth/account"
    assert back.headers["location"] == "/auth/account"
    assert made.status_code == 201


async def test_without_a_page_to_confirm_the_form_stays() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", "-reauthentication"], clock=clock) as client:
        await signed_in(client)
        clock.tick(timedelta(minutes=6))
        page = await account(client)

    assert 'action="/auth/api-keys"' in page.text


async def test_a_key_is_revoked_by_a_form() -> None:
    async with running(MEMORY) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user, name="old")
        await client.sign_in(user)
        page = await account(client)
        revoked = await client.as_browser().post(action(page, "api-keys/[0-9a-f-]+"), data={"_method": "DELETE"})
        gone = await client.get("/private", headers={"authorization": f"Bearer {key}"})
        after = await account(client, "?done=api_key.revoked")

    assert revoked.headers["location"] == "/auth/account?done=api_key.revoked#api-keys"
    assert gone.status_code == 401
    assert "The key was revoked." in after.text and "You have no keys." in after.text


@pytest.mark.parametrize("path", ["/auth/api-keys", "/auth/sessions"])
async def test_a_person_who_opens_a_list_sees_the_account(path: str) -> None:
    async with running(MEMORY) as client:
        await signed_in(client)
        page = await client.get(path, headers=PAGE)

    assert page.status_code == 200
    assert "<h1>Your account</h1>" in page.text


# After sign-out


async def test_hc38_after_sign_out_nothing_of_the_account_is_shown() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        shown = await account(client)
        out = await browser.post("/auth/logout", data={"": ""})
        again = await account(client)

    assert shown.headers["cache-control"] == "no-store"
    assert out.status_code == 303
    assert again.status_code == 303


@pytest.mark.parametrize("path", ["account", "api-keys"])
async def test_a_form_whose_session_has_ended_leads_to_sign_in_and_never_says_that_it_was_done(path: str) -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        await client.sign_out()
        target = f"/auth/{path}?next=/auth/account%3Fdone%3Daccount.changed"
        refused = await browser.post(target, data={"_method": "PATCH", "name": "x"})
        form = {"email": "ada@example.com", "password": PASSWORD}
        back = await browser.post(action(refused, "login"), data=form)

    assert refused.status_code in (401, 405)
    assert "<h1>Sign in</h1>" in refused.text
    assert refused.text.count('role="alert"') == 1
    assert back.headers["location"] == "/auth/account"


async def test_a_sign_out_goes_on_to_where_its_page_says() -> None:
    async with running(MEMORY) as client:
        browser = await signed_in(client)
        out = await browser.post("/auth/logout?next=/goodbye", data={"": ""})
        elsewhere = await browser.post("/auth/logout?next=//evil.test", data={"": ""})

    assert out.headers["location"] == "/goodbye"
    assert elsewhere.headers["location"] == "/auth/account"

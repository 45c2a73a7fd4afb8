"""Sign-up: nobody learns who has an account, and what waits is nobody's account."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Boolean, MetaData, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sigra import Action, ConfigurationError, Event, Refused, Sigra, hookimpl
from sigra.db import UserColumns
from sigra.events import StartSignUp
from sigra.plugins.password import Password
from sigra.plugins.signup import SignUp
from sigra.plugins.signup.shapes import SignUpBody
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, create_tables, make_user
from tests.apps import Postbox, application, running
from tests.policies import Recorder
from tests.signing_up import EMAIL, OTHER, browser, log_in, mailed, rows, seen, sign_up, verify, watched, works
from tests.test_failing_database import Cable, is_unavailable

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}


def members() -> MetaData:
    """An application's own users."""

    class Base(DeclarativeBase):
        pass

    class Member(UserColumns, Base):
        plan: Mapped[str | None] = mapped_column(String(20))
        newsletter: Mapped[bool | None] = mapped_column(Boolean)
        is_admin: Mapped[bool | None] = mapped_column(Boolean)

    return Base.metadata


class Fields(BaseModel):
    plan: str = "free"
    newsletter: bool = False


async def waiting(client: Client) -> list[Any]:
    table = client.sigra.plugin(SignUp).pending.table
    async with client.sigra.db.connect() as tx:
        return list((await tx.execute(select(table).order_by(table.c.created_at))).all())


# What is answered


async def test_a_sign_up_waits_and_is_no_account(database: str) -> None:
    async with running(database, https=True) as client:
        answer = await sign_up(client, name=" Ada ")
        [row] = await waiting(client)
        account = await client.sigra.users.by_email(EMAIL)

    assert answer.status_code == 202
    assert answer.json() == {"status": "verification_sent", "signup_token": answer.json()["signup_token"]}
    [cookie] = answer.headers.get_list("set-cookie")
    token = answer.json()["signup_token"]
    assert cookie == f"__Host-sigra-signup={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=86400"
    assert account is None
    assert (row.email, row.name, row.user_id) == (EMAIL, "Ada", None)
    assert row.expires_at - row.created_at == timedelta(hours=24)


async def test_hc39_a_sign_up_tells_nobody_who_has_an_account(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        await make_user(auth, "known@example.com")
        await make_user(auth, "unproven@example.com", email_verified=False)
        disabled = await make_user(auth, "disabled@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, disabled, "disabled"))
        await sign_up(browser(client), "waiting@example.com")
        await auth.worker.work()
        told = []
        with watched(client, monkeypatch) as work:
            for name in ("known", "unproven", "disabled", "waiting", "unknown"):
                before, sent = await rows(client), len(box.kinds)
                work.take()
                answer = await sign_up(browser(client), f"{name}@example.com")
                done = work.take()
                after = await rows(client)
                await auth.worker.work()
                more = {table: after[table] - before[table] for table in after}
                told.append((seen(answer), done, more, len(box.kinds) - sent))

    first, *others = told
    assert first[0][0] == 202
    assert first[1][1] == ("hash",)
    assert first[3] == 1
    assert all(other == first for other in others)


async def test_hc07_who_has_an_account_is_told_by_mail_at_the_stored_address(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        await make_user(client.sigra, "Ada@example.com")
        await sign_up(client, "ADA@EXAMPLE.COM")
        await client.sigra.worker.work()

    [message] = box.messages
    assert (message.kind, message.recipient) == ("already_registered", "Ada@example.com")
    assert "http://localhost/auth/login" in message.text
    assert "token" not in message.text


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"email": EMAIL, "password": "short"}, "password", "too_short"),
        ({"email": EMAIL, "password": "password1"}, "password", "too_common"),
        ({"email": EMAIL, "password": "ada@example.com"}, "password", None),
        ({"email": EMAIL, "password": "Grace Hopper", "name": "Grace Hopper"}, "password", None),
        ({"email": EMAIL, "password": "x" * 1025}, "password", "string_too_long"),
        ({"email": "nobody", "password": PASSWORD}, "email", "invalid_email"),
        ({"email": "a@b@example.com", "password": PASSWORD}, "email", "invalid_email"),
        ({"email": "a@example.com\r\nbcc: b@example.com", "password": PASSWORD}, "email", "invalid_email"),
        ({"email": "a\uff20example.com", "password": PASSWORD}, "email", "invalid_email"),
        ({"password": PASSWORD}, "email", "missing"),
        ({"email": EMAIL, "name": "\u202e"}, "name", "value_error"),
    ],
)
async def test_hc43_what_cannot_be_taken_is_named_and_nothing_waits(
    body: dict[str, str], field: str, code: str | None
) -> None:
    async with running(MEMORY) as client:
        answer = await client.post("/auth/signup", json=body)
        left = await waiting(client)

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert code in (None, error["code"])
    assert left == []


async def test_hc35_another_site_cannot_plant_a_sign_up() -> None:
    async with running(MEMORY) as client:
        foreign = client.as_browser(site="cross-site", origin="https://evil.example")
        answer = await foreign.post("/auth/signup", data={"email": EMAIL, "password": PASSWORD})
        left = await waiting(client)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert left == []


async def test_hc22_what_is_stored_is_no_token(database: str) -> None:
    async with running(database) as client:
        token = (await sign_up(client)).json()["signup_token"]
        [row] = await waiting(client)
        presented = await log_in(browser(client), signup_token=bytes(row.browser_digest).hex())

    assert token not in repr(row)
    assert PASSWORD not in repr(row)
    assert presented.status_code == 401


async def test_a_policy_may_refuse_a_sign_up_and_sees_what_it_would_be() -> None:
    @dataclass
    class Invited:
        """Lets only some in."""

        seen: list[Any] = field(default_factory=list)
        name: str = "invited"
        api: int = 1

        @hookimpl
        async def before_action(self, action: Action) -> None:
            if isinstance(action, StartSignUp):
                self.seen.append((action.name, action.user.email, action.user.name))
                raise Refused("By invitation only.")

    invited = Invited()
    async with running(MEMORY, ["defaults", invited]) as client:
        answer = await sign_up(client, name="Ada")
        left = await waiting(client)

    assert (answer.status_code, answer.json()["detail"]) == (403, "By invitation only.")
    assert invited.seen == [("start_sign_up", EMAIL, "Ada")]
    assert left == []


async def test_a_sign_up_is_recorded_with_its_address() -> None:
    recorder = Recorder()
    async with running(MEMORY, ["defaults", recorder]) as client:
        await sign_up(client, "Ada@Example.com")

    [event] = recorder.recorded
    assert (event.name, event.user_id, event.metadata) == ("signup.requested", None, {"email": EMAIL})


# The application's own fields


@pytest.fixture
async def host(database: str) -> Any:
    """An application with columns of its own, of which people may fill in one."""
    box = Postbox()
    settings = cheap_settings(database, worker=False)
    plugins = ["defaults", "-signup", SignUp(fields=Fields), box]
    async with Sigra(settings, plugins, metadata=members(), clock=FrozenClock()) as auth:
        await create_tables(auth)
        async with Client(auth.wrap(application), auth) as client:
            yield client, box


async def test_hc09_only_the_fields_that_are_allowed_become_columns(host: Any) -> None:
    client, box = host
    hostile = {
        "is_admin": True,
        "id": str(uuid.uuid4()),
        "email_verified": True,
        "email_verified_at": "2020-01-01T00:00:00Z",
        "status": "disabled",
        "security_version": 7,
        "user_id": str(uuid.uuid4()),
        "password_hash": "x",
        "expires_at": "2099-01-01T00:00:00Z",
    }
    await sign_up(client, plan="team", **hostile)
    waits = await client.sigra.users.by_email(EMAIL)
    await client.sigra.worker.work()
    await verify(client, box.token())
    user = await client.sigra.users.by_email(EMAIL)

    assert waits is None
    assert dict(user.columns) == {"plan": "team", "newsletter": False, "is_admin": None}
    assert (user.status, user.security_version, user.email_verified) == ("active", 0, True)
    assert str(user.id) not in (hostile["id"], hostile["user_id"])


async def test_a_field_of_another_type_is_named(host: Any) -> None:
    client, _ = host
    answer = await sign_up(client, plan=["team"])

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["plan"]


async def test_the_form_asks_for_the_fields(host: Any) -> None:
    client, _ = host
    typed = {"email": EMAIL, "password": PASSWORD, "plan": "team", "newsletter": "true"}
    page = await client.get("/auth/signup", headers=PAGE)
    posted = await client.post("/auth/signup", data=typed)
    [row] = await waiting(client)

    assert 'name="plan"' in page.text
    assert 'name="newsletter" type="checkbox"' in page.text
    assert posted.status_code == 303
    assert row.fields == {"plan": "team", "newsletter": True}


class Ours(BaseModel):
    status: str


class Twice(BaseModel):
    password: str


class Nowhere(BaseModel):
    shoe_size: int


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Ours, "has the field status, which is not the application's"),
        (Twice, "has the field password, which is not the application's"),
        (Nowhere, "has the field shoe_size, of which sigra_users has no column"),
    ],
)
async def test_hc09_a_field_that_is_not_the_applications_refuses_to_start(model: type[BaseModel], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Sigra(cheap_settings(), ["defaults", "-signup", SignUp(fields=model)])


@pytest.mark.parametrize(
    "path", ["nowhere", "no.such.module:Model", "tests.plugins.test_signup:Nothing", ":", "sigra:Sigra"]
)
async def test_a_path_that_names_no_model_refuses_to_start(path: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGRA_SIGNUP__FIELDS"):
        Sigra(cheap_settings(signup={"fields": path}))


async def test_the_fields_may_be_named_by_their_path() -> None:
    with pytest.raises(ConfigurationError, match="has the field email"):
        Sigra(cheap_settings(signup={"fields": "sigra.plugins.password:Credentials"}))


# Before the proof


async def test_before_the_proof_only_the_browser_that_signed_up_knows_of_it(database: str) -> None:
    async with running(database) as client:
        token = (await sign_up(client)).json()["signup_token"]
        own, elsewhere = await log_in(client), await log_in(browser(client))
        wrong, by_token = await log_in(client, "wrong"), await log_in(browser(client), signup_token=token)
        other = await log_in(client, email="other@example.com")

    assert own.status_code == by_token.status_code == 202
    assert own.json() == {
        "status": "challenge",
        "login_token": token,
        "challenges": [{"kind": "email_verification", "methods": ["email"]}],
        "expires_at": "2026-01-02T12:00:00Z",
    }
    assert [answer.json()["code"] for answer in (elsewhere, wrong, other)] == ["invalid_credentials"] * 3
    assert not client.signed_in


async def test_hc39_the_browser_that_signed_up_does_not_learn_whether_the_address_is_taken(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database) as client:
        await make_user(client.sigra, "taken@example.com", OTHER)
        told = []
        with watched(client, monkeypatch) as work:
            for email in ("taken@example.com", "free@example.com"):
                mine = browser(client)
                await sign_up(mine, email)
                for password in (PASSWORD, "wrong"):
                    work.take()
                    answer = await log_in(mine, password, email)
                    told.append((seen(answer), work.take()))

    right, wrong = told[:2]
    assert (right[0][0], wrong[0][0]) == (202, 401)
    assert right[1][1] == ("verify", "verify")
    assert told[2:] == [right, wrong]


async def test_hc40_a_guess_at_an_account_is_counted_behind_a_sign_up_too(database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", recorder]) as client:
        await make_user(client.sigra)
        await sign_up(client, password=OTHER)
        recorder.recorded.clear()
        guessed = await log_in(client, OTHER)
        right = await log_in(client)

    assert guessed.status_code == 202
    assert [event.metadata for event in recorder.recorded if event.name == "sign_in.failed"] == [
        {"method": "password", "email": EMAIL}
    ]
    assert right.status_code == 200


async def test_an_owner_who_forgot_the_account_gets_in_where_the_sign_up_was_tried(database: str) -> None:
    async with running(database) as client:
        await make_user(client.sigra)
        await sign_up(client, password=OTHER)
        own, account = await log_in(client, OTHER), await log_in(client)

    assert own.status_code == 202
    assert account.status_code == 200


async def test_hc39_a_foreign_sign_up_costs_known_and_unknown_alike(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database) as client:
        await make_user(client.sigra)
        await sign_up(client, "mine@example.com")
        told = []
        with watched(client, monkeypatch) as work:
            for email in (EMAIL, "nobody@example.com"):
                work.take()
                told.append((seen(await log_in(client, "wrong", email)), work.take()))

    assert told[0] == told[1]
    assert told[0][1][1] == ("verify",)


async def test_hc21_what_was_typed_at_a_sign_up_is_in_no_row_log_or_repr(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    caplog.set_level(logging.DEBUG)
    async with running(database, ["defaults", recorder]) as client:
        secret = (await sign_up(client)).json()["signup_token"]
        await log_in(client)
        stored = [repr(row) for row in await waiting(client)]

    body = SignUpBody(email=EMAIL, password=PASSWORD)
    told = [*map(repr, (body, *recorder.recorded, *recorder.attempts)), *stored, *caplog.messages]
    assert not [text for text in told for hidden in (secret, PASSWORD) if hidden in text]


class Forgetful:
    """Cannot take down that somebody signed up."""

    name = "forgetful"
    api = 1

    @hookimpl
    async def record_event(self, event: Event) -> None:
        if event.name == "signup.requested":
            raise Refused


async def test_hc46_a_sign_up_that_is_not_recorded_waits_for_nothing(database: str) -> None:
    async with running(database, ["defaults", Forgetful()]) as client:
        before = await rows(client)
        refused = await sign_up(client)

        assert refused.status_code == 403
        assert await rows(client) == before


async def test_a_sign_up_without_a_password_lets_no_password_in() -> None:
    async with running(MEMORY) as client:
        await sign_up(client, password=None)
        answers = [await log_in(client, password) for password in ("", PASSWORD, "None")]

    assert [answer.status_code for answer in answers] == [401] * 3


async def test_what_has_expired_is_gone(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock, signup={"lifetime": 7200}) as client:
        await sign_up(client)
        clock.tick(timedelta(hours=2) - timedelta(seconds=1))
        late = await log_in(client)
        clock.tick()
        over = await log_in(client)
        await client.sigra.worker.work()
        left = await waiting(client)

    assert (late.status_code, over.status_code) == (202, 401)
    assert left == []


async def test_expired_rows_are_deleted(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        for email in ("a@example.com", "b@example.com", "c@example.com"):
            await sign_up(client, email)
        clock.tick(timedelta(hours=25))
        await sign_up(client)
        await client.sigra.worker.work()
        [left] = await waiting(client)

    assert left.email == EMAIL


# Accounts at once


async def test_without_the_demand_for_a_proof_an_account_is_made_at_once(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box], signup={"require_verified": False}) as client:
        answer = await sign_up(client, name="Ada")
        signed_in = await log_in(client)
        user = await client.sigra.users.by_email(EMAIL)
        await client.sigra.worker.work()

        assert answer.json()["status"] == "verification_sent"
        assert signed_in.json()["user"] == {"id": str(user.id), "email": EMAIL, "email_verified": False, "name": "Ada"}
        assert box.kinds == ["verify_email"]
        assert (await verify(client, box.token())).status_code == 204
        assert (await client.get("/auth/session")).json()["user"]["email_verified"] is True
        assert await works(client, PASSWORD)


async def test_without_the_demand_for_a_proof_a_taken_address_stays_as_it_is(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box], signup={"require_verified": False}) as client:
        await make_user(client.sigra)
        answer = await sign_up(client, password=OTHER, name="Eve")
        await client.sigra.worker.work()

        assert answer.status_code == 202
        assert box.kinds == ["already_registered"]
        assert await works(client, PASSWORD)
        assert not await works(client, OTHER)


async def test_hc01_an_account_at_once_is_its_owners_after_the_proof(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box], signup={"require_verified": False}) as client:
        attacker, owner = browser(client), browser(client)
        await sign_up(attacker)
        await log_in(attacker)
        proven = await verify(owner, await mailed(owner, box, password=OTHER))

        assert proven.status_code == 204
        assert (await attacker.get("/auth/session")).status_code == 401
        assert not await works(client, PASSWORD)
        assert await works(client, OTHER)


async def test_an_account_that_somebody_makes_at_the_same_instant_is_no_error(database: str) -> None:
    from sigra.errors import Conflict

    async with running(database, signup={"require_verified": False}) as client:
        plugin, made = client.sigra.plugin(SignUp), []
        make = plugin.make

        async def too_late(*args: Any) -> Any:
            made.append(args)
            raise Conflict

        plugin.make = too_late
        answer = await sign_up(client)
        plugin.make = make
        [row] = await waiting(client)

    assert answer.status_code == 202
    assert len(made) == 1
    assert row.user_id is None


# For others


async def test_hc01_a_proven_address_with_only_sign_ups_becomes_an_account_of_none_of_them(database: str) -> None:
    async with running(database) as client:
        auth, plugin = client.sigra, client.sigra.plugin(SignUp)
        await sign_up(client, "Ada@example.com", name="Eve")
        nobody = await auth.db.transaction(lambda tx: plugin.admit(auth, tx, "nobody@example.com"))
        user = await auth.db.transaction(lambda tx: plugin.admit(auth, tx, "Ada@example.com"))
        same = await auth.db.transaction(lambda tx: plugin.admit(auth, tx, "ada@EXAMPLE.com"))
        left = await waiting(client)

        assert nobody is None
        assert (user.email, user.email_verified, user.name) == ("Ada@example.com", True, None)
        assert same.id == user.id
        assert not await auth.plugin(Password).has_one(auth, user)
        assert left == []


async def test_hc07_mail_goes_to_the_spelling_that_was_asked_for(database: str) -> None:
    clock = FrozenClock()
    async with running(database, clock=clock) as client:
        auth, plugin = client.sigra, client.sigra.plugin(SignUp)
        await sign_up(client, "ida@example.com")
        clock.tick()
        await sign_up(client, "\u0131da@example.com")
        async with auth.db.connect() as tx:
            found = [
                await plugin.address_to_prove(auth, tx, text)
                for text in ("ida@example.com", "\u0131da@example.com", "IDA@example.com", "x@example.com", "x")
            ]

    assert found == ["ida@example.com", "\u0131da@example.com", "\u0131da@example.com", None, None]


async def test_what_waits_for_the_users_address_is_exported_and_erased_with_the_user(database: str) -> None:
    async with running(database) as client:
        auth, plugin = client.sigra, client.sigra.plugin(SignUp)
        user = await make_user(auth)
        nameless = await make_user(auth, None)
        await sign_up(client, name="Eve")
        await sign_up(client, "other@example.com")
        exported = [await plugin.export_user(auth, one) for one in (user, nameless)]
        for one in (user, nameless):
            await auth.db.transaction(lambda tx, one=one: plugin.erase_user(tx, one))
        [left] = await waiting(client)

    assert exported == [{"signup": [{"created_at": "2026-01-01T12:00:00Z"}]}, None]
    assert left.email == "other@example.com"


async def test_where_no_passwords_are_a_sign_up_with_one_is_refused() -> None:
    async with running(MEMORY, ["sessions", "email_verification", "signup"]) as client:
        refused, taken = await sign_up(client), await sign_up(client, password=None)

    assert refused.json()["errors"][0]["field"] == "password"
    assert taken.status_code == 202


# Pages


async def test_a_form_goes_on_to_where_the_code_is_typed(database: str) -> None:
    async with running(database) as client:
        form = {"email": EMAIL, "password": PASSWORD, "name": ""}
        posted = await client.post("/auth/signup?next=/private", data=form)
        page = await client.get(posted.headers["location"], headers=PAGE)
        [row] = await waiting(client)
        logged_in = await client.post("/auth/login", data=form)

    assert (posted.status_code, posted.headers["location"]) == (303, "/auth/email/verify")
    assert EMAIL in page.text
    assert 'name="code"' in page.text
    assert row.next == "/private"
    assert (logged_in.status_code, logged_in.headers["location"]) == (303, "/auth/email/verify")


async def test_hc38_a_form_that_is_refused_comes_back_without_its_password() -> None:
    async with running(MEMORY) as client:
        form = {"email": EMAIL, "password": "short", "name": '"><script>alert(1)</script>'}
        page = await client.post("/auth/signup", data=form)

    assert page.status_code == 422
    assert "Use at least 8 characters." in page.text
    assert f'value="{EMAIL}"' in page.text
    assert 'value="short"' not in page.text
    assert "<script>alert" not in page.text


async def test_the_sign_in_page_leads_to_the_sign_up_and_back() -> None:
    async with running(MEMORY) as client:
        login = await client.get("/auth/login?next=/private", headers=PAGE)
        page = await client.get("/auth/signup?next=/private", headers=PAGE)
        await client.sign_in(await make_user(client.sigra))
        signed_in = await client.get("/auth/signup", headers=PAGE)

    assert 'href="/auth/signup?next=/private"' in login.text
    assert 'href="/auth/login?next=/private"' in page.text
    assert 'action="/auth/signup?next=/private"' in page.text
    assert "You are signed in as" in signed_in.text


# Failure


@pytest.mark.parametrize("late", [False, True])
async def test_hc45_a_sign_up_that_is_cut_anywhere_is_whole_or_not_at_all(
    late: bool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable, box = Cable(), Postbox()
    async with running(database, ["defaults", box]) as client:
        cable.lay(client, monkeypatch)
        await sign_up(client)
        for at in range(len(cable.told)):
            before = await rows(client)
            cable.cut(at, late=late)
            refused = await sign_up(client)
            cable.mend()
            after = await rows(client)
            more = [after[name] - before[name] for name in ("sigra_signups", "sigra_outbox")]
            assert is_unavailable(refused), at
            assert more in ([0, 0], [1, 1])
            assert (await sign_up(client)).status_code == 202
        token = await mailed(client, box)

        assert (await verify(client, token)).status_code == 204
        assert await works(client, PASSWORD)

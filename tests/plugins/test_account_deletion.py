"""How an account ends: closed at once, opened again by its mailbox, erased with all that is its after its grace."""

import asyncio
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, func, insert, select
from starlette.requests import Request

from sigra import Action, Refused, Sigra, hookimpl
from sigra.errors import Unauthenticated, Unavailable
from sigra.models import Identity, User
from sigra.plugins.account import Account
from sigra.plugins.account.deletion import MailedToken
from sigra.plugins.recovery_codes import RecoveryCodes
from sigra.plugins.second_factor import SecondFactor
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.ledger import Ledger
from tests.policies import Factor, Recorder
from tests.test_failing_database import Cable

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
CANCEL = "/auth/account/delete/cancel"
GRACE = timedelta(days=14)


def browser(client: Client) -> Client:
    """Another browser of the same application."""
    return Client(client.app, client.sigra)


async def close(client: Client) -> httpx2.Response:
    """Delete the account of whoever is signed in, and have all mail delivered."""
    answer = await client.post("/auth/account/delete")
    await client.sigra.worker.work()
    return answer


def token(box: Postbox, which: int = -1) -> str:
    """The token of a message that an account will be deleted, the newest when nothing else is said."""
    message = [one for one in box.messages if one.kind == "deletion_scheduled"][which]
    return re.search(r"#token=([A-Za-z0-9_-]{43})", message.text)[1]


async def cancel(client: Client, text: str) -> httpx2.Response:
    return await client.post(CANCEL, json={"token": text})


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


async def status_of(auth: Sigra, user: User) -> str | None:
    found = await auth.users.by_id(user.id)
    return found and found.status


async def set_status(auth: Sigra, user: User, status: Any) -> None:
    await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, status))


async def waiting(auth: Sigra) -> int:
    table = auth.metadata.tables["sigra_account_deletions"]
    async with auth.db.connect() as tx:
        return await tx.scalar(select(func.count()).select_from(table)) or 0


async def closed(client: Client, email: str = "ada@example.com") -> User:
    """An account that its user has deleted."""
    user = await make_user(client.sigra, email)
    async with browser(client) as one:
        await one.sign_in(user)
        assert (await close(one)).status_code == 202
    return user


# Closing


async def test_an_account_is_closed_at_once_and_says_until_when(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder], https=True) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        answer = await close(client)
        status, rows = await status_of(client.sigra, user), await waiting(client.sigra)

    assert answer.status_code == 202
    assert answer.json() == {"status": "closing", "erase_at": "2026-01-15T12:00:00Z"}
    assert any(
        cookie.startswith("__Host-sigra=;") and "Max-Age=0" in cookie
        for cookie in answer.headers.get_list("set-cookie")
    )
    assert (status, rows, client.signed_in) == ("closing", 1, False)
    [message] = box.messages
    assert (message.kind, message.recipient) == ("deletion_scheduled", "ada@example.com")
    assert "2026-01-15" in message.text
    names = [one.name for one in recorder.recorded]
    assert names[-3:] == ["credentials.revoked", "account.deletion_scheduled", "sign_out.succeeded"]


async def test_hc08_nothing_of_a_closed_account_is_accepted(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as other, browser(client) as late:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        for one in (client, other):
            await one.sign_in(user)
        await close(client)
        answers = [
            await other.get("/auth/session"),
            await late.get("/private", headers={"authorization": f"Bearer {key}"}),
            await late.sign_in(user),
        ]

        assert [one.status_code for one in answers] == [401, 401, 401]
        assert answers[2].json()["code"] == "invalid_credentials"


async def test_hc08_a_sign_in_that_was_under_way_ends_with_the_account(database: str) -> None:
    async with running(database, ["defaults", Postbox(), Factor()]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await client.post("/auth/login/factor", json={"code": "right"})
        await other.sign_in(user)
        closing = await close(client)
        late = await other.post("/auth/login/factor", json={"code": "right"})

    assert (closing.status_code, late.status_code) == (202, 401)


async def test_it_needs_a_fresh_sign_in_by_a_person() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Postbox()], clock=clock) as client:
        user = await make_user(client.sigra)
        nobody = await close(client)
        key = await make_api_key(client.sigra, user)
        program = await client.post("/auth/account/delete", headers={"authorization": f"Bearer {key}"})
        await client.sign_in(user)
        clock.tick(timedelta(minutes=6))
        stale = await close(client)

        assert [code_of(one) for one in (nobody, program, stale)] == [
            (401, "unauthenticated"),
            (403, "session_required"),
            (403, "reauthentication_required"),
        ]
        assert await status_of(client.sigra, user) == "active"


async def test_an_account_without_an_address_is_closed_too() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra, None, None)
        await client.sign_in_as(user, "hwk")
        answer = await close(client)

        assert (answer.status_code, box.kinds) == (202, [])
        assert await status_of(client.sigra, user) == "closing"


@dataclass
class Refusing:
    """Refuses actions and facts of some names."""

    at: set[str]
    name: str = "refusing"
    api: int = 1
    asked: list[str] = field(default_factory=list)

    @hookimpl
    async def before_action(self, action: Action) -> None:
        self.asked.append(action.name)
        if action.name in self.at:
            raise Refused

    @hookimpl
    async def record_event(self, event: Any) -> None:
        if event.name in self.at:
            raise Refused


@pytest.mark.parametrize("at", ["close_account", "sign_out", "credentials.revoked", "account.deletion_scheduled"])
async def test_hc33_closing_and_what_ends_with_it_are_one_transaction(at: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box, Refusing({at})]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        refused = await close(client)

        assert refused.status_code == 403
        assert (await client.get("/auth/session")).status_code == 200
        assert (await status_of(client.sigra, user), await waiting(client.sigra), box.kinds) == ("active", 0, [])


@pytest.mark.parametrize("meanwhile", ["disabled", "closing"])
async def test_hc08_an_account_that_was_disabled_meanwhile_is_not_closed(meanwhile: str, database: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        identity = Identity(user, "session", "1", session_id=uuid.uuid4())
        request = Request({"type": "http", "sigra.identity": identity, "headers": []})
        await set_status(auth, user, meanwhile)
        with pytest.raises(Unauthenticated):
            await auth.sign_out(request, partial(auth.plugin(Account)._deletions._close, auth, request, auth.clock()))

        assert (await status_of(auth, user), await waiting(auth)) == (meanwhile, 0)


# Opening again


async def test_the_mailed_link_opens_it_again_and_signs_nobody_in(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    clock = FrozenClock()
    async with running(database, ["defaults", box, recorder], clock=clock) as client:
        user = await closed(client)
        clock.tick(GRACE - timedelta(hours=1))
        opened = await cancel(client, token(box))
        session = await client.get("/auth/session")
        clock.tick(timedelta(days=30))
        await client.sigra.worker.work()
        back = await client.sign_in(user)

    assert (opened.status_code, opened.content, "set-cookie" in opened.headers) == (204, b"", False)
    assert (session.status_code, back.status_code) == (401, 200)
    assert "account.deletion_cancelled" in [one.name for one in recorder.recorded]


async def test_hc33_what_was_revoked_stays_revoked(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        for one in (client, other):
            await one.sign_in(user)
        await close(client)
        await cancel(client, token(box))
        answers = [
            await other.get("/auth/session"),
            await browser(client).get("/private", headers={"authorization": f"Bearer {key}"}),
        ]

    assert [one.status_code for one in answers] == [401, 401]


async def test_hc14_of_many_cancellations_at_once_one_wins(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder]) as client:
        await closed(client)
        text = token(box)
        answers = await asyncio.gather(*(cancel(browser(client), text) for _ in range(16)))

    assert sum(one.status_code == 204 for one in answers) == 1
    assert {one.status_code for one in answers} == {204, 400}
    assert sum(one.name == "account.deletion_cancelled" for one in recorder.recorded) == 1


async def test_hc18_no_other_token_of_the_user_opens_it() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        auth, user = client.sigra, await closed(client)
        other = await auth.db.transaction(
            lambda tx: auth.tokens.issue(tx, "email_change_cancel", user, {}, timedelta(hours=1))
        )
        refused = [await cancel(client, text) for text in (other, "x", "", token(box)[:-1])]

        assert {code_of(one) for one in refused} == {(400, "invalid_token")}
        assert await status_of(auth, user) == "closing"


async def test_hc19_opening_the_link_does_nothing() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await closed(client)
        text = token(box)
        opened = [
            await client.request(method, f"{CANCEL}?token={text}", headers=headers)
            for method in ("GET", "HEAD")
            for headers in (PAGE, {})
        ]

        assert [one.status_code for one in opened] == [200] * 4
        assert not [one for one in opened if text in one.text]
        assert await status_of(client.sigra, user) == "closing"


async def test_hc20_an_older_link_does_not_open_what_was_closed_later(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth, user = client.sigra, await closed(client)
        older = token(box)
        await set_status(auth, user, "active")
        await client.sign_in(user)
        await client.post("/auth/account/delete")
        early = await cancel(client, older)
        await auth.worker.work()
        late = await cancel(client, older)
        opened = await cancel(client, token(box))

    assert [one.status_code for one in (early, late, opened)] == [400, 400, 204]


async def test_hc20_a_link_opened_while_signed_in_as_somebody_else_is_its_own_accounts() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await closed(client)
        await client.sign_in(await make_user(client.sigra, "eve@example.com"))
        opened = await cancel(client, token(box))

        assert (opened.status_code, "set-cookie" in opened.headers) == (204, False)
        assert await status_of(client.sigra, user) == "active"
        assert (await client.get("/auth/session")).json()["user"]["email"] == "eve@example.com"


@pytest.mark.parametrize(
    ("status", "told"), [("active", (400, "invalid_token")), ("disabled", (403, "account_disabled"))]
)
async def test_hc08_a_link_opens_only_what_is_closed(status: str, told: tuple[int, str], database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await closed(client)
        await set_status(client.sigra, user, status)
        refused = await cancel(client, token(box))

        assert code_of(refused) == told
        assert await status_of(client.sigra, user) == status


async def test_opening_again_may_be_refused_and_the_link_stays_good() -> None:
    box, refusing = Postbox(), Refusing({"reopen_account"})
    async with running(MEMORY, ["defaults", box, refusing]) as client:
        user = await closed(client)
        refused = await cancel(client, token(box))
        refusing.at.clear()
        opened = await cancel(client, token(box))

        assert (refused.status_code, opened.status_code) == (403, 204)
        assert await status_of(client.sigra, user) == "active"


async def test_hc21_no_table_and_no_event_has_the_token(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder]) as client:
        await closed(client)
        stored = await dump(client.sigra)
        told = " ".join(repr(one) for one in (*recorder.recorded, *box.messages, MailedToken(token=token(box))))

    assert token(box) not in stored + told


# Erasing


@pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=1)])
async def test_an_account_is_erased_when_its_grace_is_over(late: timedelta, database: str) -> None:
    clock, box, recorder = FrozenClock(), Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder], clock=clock) as client:
        user = await closed(client)
        clock.tick(GRACE - timedelta(seconds=1))
        await client.sigra.worker.work()
        before = await status_of(client.sigra, user)
        clock.tick(timedelta(hours=1) + late)
        await client.sigra.worker.work()
        after = await status_of(client.sigra, user)
        gone = await cancel(client, token(box))

        assert (before, after) == ("closing", None)
        assert code_of(gone) == (400, "invalid_token")
        assert box.kinds == ["deletion_scheduled", "account_deleted"]
        assert box.messages[-1].recipient == "ada@example.com"
        assert [one.metadata for one in recorder.recorded if one.name == "account.deleted"] == [{"erasure": "erase"}]


async def test_the_grace_is_what_is_said() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Postbox()], clock=clock, account={"grace": "P2D"}) as client:
        user = await closed(client)
        clock.tick(timedelta(days=2))
        await client.sigra.worker.work()

        assert await status_of(client.sigra, user) is None


async def fill(client: Client, box: Postbox, user: User) -> None:
    """Give the account a row in every table that could hold one."""
    auth = client.sigra
    await client.sign_in(user)
    await client.post("/auth/login/factor", json={"code": "right"})
    await client.patch("/auth/account", json={"name": "Ada Lovelace", "locale": "de"})
    await make_api_key(auth, user, name="Ada's key")
    for path in ("password/forgot", "magic-link", "signup", "email/verify/resend"):
        body = {"email": "Ada@Example.com", "password": PASSWORD, "name": "Ada Lovelace"}
        await client.post(f"/auth/{path}", json=body if path == "signup" else {"email": "Ada@Example.com"})
    await auth.worker.work()
    await client.post("/auth/email/change", json={"new_email": "ada@new.example"})
    async with browser(client) as other:
        await other.sign_in(user)
    # What waits is sent later, or never.
    await client.post("/auth/password/forgot", json={"email": "ada@example.com"})
    await client.sign_in_as(user, "pwd", "otp", met=frozenset({"mfa"}), trust_browser=True)
    await auth.db.transaction(partial(refill_factors, auth, user))
    await auth.db.transaction(partial(refill_deletions, auth, user))


async def refill_factors(auth: Sigra, user: User, tx: Any) -> None:
    await auth.plugin(RecoveryCodes)._new(auth, tx, user)
    policy = auth.plugin(SecondFactor)
    await policy.demands.choose(tx, user, "required")
    await policy.removals.request(auth, tx, user, timedelta(hours=24))


async def refill_deletions(auth: Sigra, user: User, tx: Any) -> None:
    row = {"user_id": user.id, "requested_at": auth.clock(), "erase_at": auth.clock() + GRACE}
    await tx.execute(insert(auth.metadata.tables["sigra_account_deletions"]).values(row))


async def dump(auth: Sigra) -> str:
    """Every row of every table, a line each."""
    async with auth.db.connect() as tx:
        tables = auth.metadata.sorted_tables
        return "\n".join([f"{table.name}: {row}" for table in tables for row in await tx.execute(select(table))])


@pytest.mark.parametrize("erasure", ["erase", "anonymise"])
async def test_nothing_of_an_erased_account_is_left_in_any_table(erasure: str, database: str) -> None:
    """A plugin with rows of users fills its tables in `fill`, and empties them by `erase_user`."""
    clock, box = FrozenClock(), Postbox()
    plugins = ["defaults", box, Factor(), Ledger()]
    async with running(database, plugins, clock=clock, account={"erasure": erasure}) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        other = await make_user(auth, "eve@example.com", name="Eve")
        await fill(client, box, user)
        filled = await dump(auth)
        await set_status(auth, user, "closing")
        clock.tick(GRACE)
        await auth.plugin(Account)._deletions.erase_due(auth)
        unsent = await dump(auth)
        await auth.worker.work()
        left = await dump(auth)

        about = rf"(?:{user.id}|ada@example\.com)"
        empty = [
            table.name for table in of_users(auth) if not re.search(rf"^{table.name}: .*{about}", filled, re.MULTILINE)
        ]
        assert empty == []
        assert unsent.count("ada@example.com") == 1, "the last message"
        named = re.findall(rf"^.*(?:{user.id}|{user.id.hex}|ada@|lovelace).*$", left, re.MULTILINE | re.IGNORECASE)
        assert [line for line in named if not line.startswith("sigra_users: ")] == []
        rows = [line for line in named if line.startswith("sigra_users: ")]
        assert not re.search("ada@|lovelace", "".join(rows), re.IGNORECASE)
        assert len(rows) == (erasure == "anonymise")
        assert await auth.users.by_id(other.id) == other
        assert box.kinds[-1] == "account_deleted"


def of_users(auth: Sigra) -> list[Table]:
    """The tables that point at users."""
    users = auth.metadata.tables["sigra_users"]
    return [
        table
        for table in auth.metadata.sorted_tables
        if any(key.references(users) for column in table.columns for key in column.foreign_keys)
    ]


@pytest.mark.parametrize("erasure", ["erase", "anonymise"])
async def test_whoever_comes_back_finds_nothing_old(erasure: str, database: str) -> None:
    clock, box = FrozenClock(), Postbox()
    async with running(database, ["defaults", box], clock=clock, account={"erasure": erasure}) as client:
        auth, user = client.sigra, await make_user(client.sigra, name="Ada")
        key = await make_api_key(auth, user)
        await client.sign_in(user)
        await close(client)
        clock.tick(GRACE)
        await auth.worker.work()
        refused = await client.sign_in(user)
        new = await make_user(auth, password="quite another pass phrase")
        old_ways = [
            await client.sign_in(new),
            await client.get("/private", headers={"authorization": f"Bearer {key}"}),
            await cancel(client, token(box)),
        ]
        await client.sign_in(new, "quite another pass phrase")
        export = (await client.get("/auth/account/export")).json()

        assert refused.status_code == 401
        assert [one.status_code for one in old_ways] == [401, 401, 400]
        assert (new.id != user.id, export["account"]["name"], export["api_keys"]) == (True, None, [])


async def test_an_anonymous_row_is_nobodys(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Postbox()], clock=clock, account={"erasure": "anonymise"}) as client:
        user = await closed(client)
        clock.tick(GRACE)
        await client.sigra.worker.work()
        left = await client.sigra.users.by_id(user.id)

        assert left is not None
        assert (left.email, left.name, left.locale, left.status) == (None, None, None, "disabled")
        assert await waiting(client.sigra) == 0


@pytest.mark.parametrize(("status", "rows"), [("active", 0), ("disabled", 1)])
async def test_what_an_operator_says_meanwhile_holds(status: str, rows: int, database: str) -> None:
    clock, box = FrozenClock(), Postbox()
    async with running(database, ["defaults", box], clock=clock) as client:
        user = await closed(client)
        await set_status(client.sigra, user, status)
        clock.tick(GRACE)
        await client.sigra.worker.work()

        assert await status_of(client.sigra, user) == status
        assert await waiting(client.sigra) == rows
        assert box.kinds == ["deletion_scheduled"]


class Stubborn:
    """Fails to erase one account, after it has begun."""

    name, api = "stubborn", 1

    def __init__(self) -> None:
        self.kept: set[str | None] = set()

    @hookimpl
    async def erase_user(self, user: User) -> None:
        if user.email in self.kept:
            raise ValueError("no")


async def test_hc46_an_account_that_a_plugin_fails_to_erase_stays_whole_and_the_others_go(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, stubborn = FrozenClock(), Stubborn()
    async with running(database, ["defaults", Postbox(), stubborn], clock=clock) as client:
        auth = client.sigra
        users = [await closed(client, f"{name}@example.com") for name in ("ada", "bob", "eve")]
        stubborn.kept = {"bob@example.com"}
        clock.tick(GRACE)
        await auth.worker.work()
        left = [await status_of(auth, user) for user in users]
        stored = await dump(auth)
        stubborn.kept = set()
        clock.tick(timedelta(hours=2))
        await auth.worker.work()
        soon = await status_of(auth, users[1])
        clock.tick(timedelta(days=1))
        await auth.worker.work()
        late = await status_of(auth, users[1])

    assert left == [None, "closing", None]
    assert re.search(rf"^sigra_passwords: .*{users[1].id}", stored, re.MULTILINE)
    assert (soon, late) == ("closing", None)
    assert f"account {users[1].id} is not erased: HookFailed" in caplog.text


async def test_an_erasure_may_be_refused(database: str) -> None:
    clock, refusing = FrozenClock(), Refusing({"erase_account"})
    async with running(database, ["defaults", Postbox(), refusing], clock=clock) as client:
        user = await closed(client)
        clock.tick(GRACE)
        await client.sigra.worker.work()
        kept = await status_of(client.sigra, user)
        refusing.at.clear()
        clock.tick(timedelta(days=1))
        await client.sigra.worker.work()

        assert (kept, await status_of(client.sigra, user)) == ("closing", None)


async def test_an_account_that_rows_of_the_application_hold_is_kept_and_told(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Orders:
        name, api = "orders", 1

        @hookimpl
        def register_tables(self, metadata: MetaData) -> list[Table]:
            users = metadata.tables["sigra_users"]
            id_, owner = (
                Column("id", Integer, primary_key=True),
                Column("owner", users.c.id.type, ForeignKey(users.c.id)),
            )
            self.table = Table("sigra_orders", metadata, id_, owner)
            return [self.table]

    clock, orders = FrozenClock(), Orders()
    async with running(database, ["defaults", Postbox(), orders], clock=clock) as client:
        user = await closed(client)
        await client.sigra.db.transaction(lambda tx: tx.execute(insert(orders.table).values(id=1, owner=user.id)))
        clock.tick(GRACE)
        await client.sigra.worker.work()

        assert await status_of(client.sigra, user) == "closing"
        assert "is not erased: IntegrityError" in caplog.text


async def test_an_account_that_was_closed_again_meanwhile_has_its_own_grace(database: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        auth, user = client.sigra, await closed(client)
        await auth.db.transaction(partial(auth.plugin(Account)._deletions._erase, auth, user.id))

        assert await status_of(auth, user) == "closing"


async def test_hc46_two_workers_erase_an_account_once(database: str) -> None:
    clock, box, recorder = FrozenClock(), Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder], clock=clock) as client:
        auth = client.sigra
        for name in ("ada", "bob", "eve"):
            await closed(client, f"{name}@example.com")
        clock.tick(GRACE)
        await asyncio.gather(*(auth.plugin(Account)._deletions.erase_due(auth) for _ in range(4)))
        await auth.worker.work()

    assert box.kinds.count("account_deleted") == 3
    assert sum(one.name == "account.deleted" for one in recorder.recorded) == 3


async def test_hc45_a_closing_that_is_cut_anywhere_is_done_or_not_and_can_be_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable, box, at, whole = Cable(), Postbox(), 0, False
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        cable.lay(client, monkeypatch)
        while not whole:
            user = await make_user(auth, f"ada{at}@example.com")
            async with browser(client) as one:
                await one.sign_in_as(user)
                cable.cut(at)
                answer = await one.post("/auth/account/delete")
                whole = at >= len(cable.told)
                cable.mend()
                assert answer.status_code == (202 if whole else 503), at
                assert await status_of(auth, user) == ("closing" if whole else "active"), at
                again = await one.post("/auth/account/delete")
                assert again.status_code == (401 if whole else 202), at
            at += 1
        rows = await waiting(auth)
        await auth.worker.work()

    assert rows == box.kinds.count("deletion_scheduled") == at
    assert at > 8


async def test_hc45_an_erasure_that_is_cut_anywhere_is_done_or_not_and_is_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable, box, clock = Cable(), Postbox(), FrozenClock()
    async with running(database, ["defaults", box], clock=clock) as client:
        auth, at, whole = client.sigra, 0, False
        user = await closed(client)
        clock.tick(GRACE)
        cable.lay(client, monkeypatch)
        while not whole:
            cable.cut(at)
            with suppress(Unavailable):
                await auth.plugin(Account)._deletions.erase_due(auth)
            whole = at >= len(cable.told)
            cable.mend()
            left = await dump(auth)
            if await status_of(auth, user) is not None:
                assert re.search(rf"^sigra_passwords: .*{user.id}", left, re.MULTILINE), at
                clock.tick(timedelta(days=1))
            at += 1
        await auth.worker.work()

        assert await status_of(auth, user) is None
        assert box.kinds.count("account_deleted") == 1


# The pages


async def test_a_person_leaves_and_comes_back_by_forms() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await client.sign_in(await make_user(client.sigra))
        person = client.as_browser()
        page = await client.get("/auth/account", headers=PAGE)
        target = re.search(r'action="(/auth/account/delete\?[^"]+)"', page.text)[1].replace("&amp;", "&")
        gone = await person.post(target, data={"": ""})
        told = await client.get(gone.headers["location"], headers=PAGE)
        await client.sigra.worker.work()
        target = re.search(r'action="(/auth/account/delete/cancel\?[^"]+)"', told.text)[1].replace("&amp;", "&")
        wrong = await person.post(target, data={"token": "x"})
        back = await person.post(target, data={"token": token(box)})
        after = await client.get(back.headers["location"], headers=PAGE)

    assert (gone.status_code, gone.headers["location"]) == (303, "/auth/account/delete/cancel?done=account.closed")
    assert not client.signed_in
    assert "Your account is closed, and will be deleted." in told.text
    assert (wrong.status_code, wrong.text.count('role="alert"')) == (400, 1)
    assert back.status_code == 303
    assert "Your account is open again." in after.text


async def test_a_stale_sign_in_is_offered_to_confirm_first() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Postbox()], clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        page = await client.get("/auth/account", headers=PAGE)

    section = page.text.partition('<section id="data"')[2].partition("</section>")[0]
    assert "/auth/reauthenticate?next=%2Fauth%2Faccount%23data" in section
    assert "account/delete" not in section


async def test_hc38_the_page_of_the_link_bears_no_value_of_the_address() -> None:
    async with running(MEMORY, ["defaults", Postbox()]) as client:
        page = await client.get(f"{CANCEL}?token=%3Cscript%3E&done=%3Cscript%3E", headers=PAGE)

    assert page.text.count("<script>") == 1
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]

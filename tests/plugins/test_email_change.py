"""A change of address: told to both mailboxes, done by the new one, bound to what was there when it was asked for."""

import asyncio
import re
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from sqlalchemy import event, func, select

from sigra import Action, Message, Refused, Sigra, hookimpl
from sigra.models import User
from sigra.plugins.email_change import EmailChange
from sigra.plugins.email_change.shapes import MailedToken, mint
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.policies import Recorder
from tests.test_failing_database import Cable

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
OLD, NEW = "ada@example.com", "ada@new.example"
CONFIRM, CANCEL = "/auth/email/change/confirm", "/auth/email/change/cancel"


def browser(client: Client) -> Client:
    """Another browser of the same application."""
    return Client(client.app, client.sigra)


def token(box: Postbox, kind: str, which: int = -1) -> str:
    """The token of a message of that kind, the newest when nothing else is said."""
    message = [one for one in box.messages if one.kind == kind][which]
    return re.search(r"#token=([A-Za-z0-9_-]{43})", message.text)[1]


async def ask(client: Client, address: str = NEW) -> httpx2.Response:
    """Ask for a change, and have all mail delivered."""
    answer = await client.post("/auth/email/change", json={"new_email": address})
    await client.sigra.worker.work()
    return answer


async def confirm(client: Client, text: str) -> httpx2.Response:
    return await client.post(CONFIRM, json={"token": text})


async def cancel(client: Client, text: str) -> httpx2.Response:
    return await client.post(CANCEL, json={"token": text})


async def address_of(auth: Sigra, user: User) -> str | None:
    found = await auth.users.by_id(user.id)
    return found and found.email


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


async def waiting(auth: Sigra) -> int:
    async with auth.db.connect() as tx:
        return await tx.scalar(select(func.count()).select_from(auth.plugin(EmailChange).table)) or 0


# The way of it


async def test_both_mailboxes_are_told_and_the_new_one_does_it(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        asked = await ask(client, f" {NEW.title()} ")
        before = await address_of(client.sigra, user)
        done = await confirm(browser(client), token(box, "confirm_new_email"))
        await client.sigra.worker.work()
        after = await client.sigra.users.by_id(user.id)

    assert (asked.status_code, asked.json()) == (202, {"status": "confirmation_sent"})
    assert (done.status_code, done.content, "set-cookie" in done.headers) == (204, b"", False)
    assert before == OLD
    assert (after.email, after.email_verified) == (NEW.title(), True)
    sent = [(message.kind, message.recipient) for message in box.messages]
    assert sorted(sent) == [
        ("confirm_new_email", NEW.title()),
        ("email_change_notice", OLD),
        ("email_changed", NEW.title()),
        ("email_changed", OLD),
    ]
    names = [one.name for one in recorder.recorded]
    assert names[-4:] == [
        "sign_in.succeeded",
        "email_change.requested",
        "credentials.revoked",
        "email_change.confirmed",
    ]


async def test_it_needs_a_fresh_sign_in_by_a_person() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Postbox()], clock=clock) as client:
        user = await make_user(client.sigra)
        nobody = await ask(client)
        key = await make_api_key(client.sigra, user)
        program = await client.post(
            "/auth/email/change", json={"new_email": NEW}, headers={"authorization": f"Bearer {key}"}
        )
        await client.sign_in(user)
        clock.tick(timedelta(minutes=6))
        stale = await ask(client)

        assert [code_of(one) for one in (nobody, program, stale)] == [
            (401, "unauthenticated"),
            (403, "session_required"),
            (403, "reauthentication_required"),
        ]
        assert await waiting(client.sigra) == 0


@pytest.mark.parametrize(
    "text",
    ["", "ada", "ada@", "@b.example", "a@b.example, c@d.example", "a@b.example\r\nBcc: x@y.example", "ada@localhost"],
)
async def test_hc07_what_is_no_address_is_refused(text: str) -> None:
    async with running(MEMORY, ["defaults", Postbox()]) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await ask(client, text)

        assert code_of(refused) == (422, "validation_failed")
        assert refused.json()["errors"][0]["field"] == "new_email"
        assert await waiting(client.sigra) == 0


async def test_the_accounts_own_address_is_no_change_and_another_spelling_is_one() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        same = await ask(client, OLD)
        other = await ask(client, OLD.title())
        done = await confirm(client, token(box, "confirm_new_email"))

        assert code_of(same) == (422, "validation_failed")
        assert (other.status_code, done.status_code) == (202, 204)
        assert await address_of(client.sigra, user) == OLD.title()


async def test_an_account_without_an_address_gets_its_first() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra, None, None)
        await client.sign_in_as(user, "hwk")
        await ask(client)
        done = await confirm(client, token(box, "confirm_new_email"))
        await client.sigra.worker.work()

        assert done.status_code == 204
        assert await address_of(client.sigra, user) == NEW
        assert box.kinds == ["confirm_new_email", "email_changed"]


async def test_an_action_is_asked_about_twice_and_may_be_refused_each_time() -> None:
    @dataclass
    class Strict:
        name: str = "strict"
        api: int = 1
        left: int = 1

        @hookimpl
        async def before_action(self, action: Action) -> None:
            if action.name == "change_email":
                self.left -= 1
                if self.left < 0:
                    raise Refused

    box, strict = Postbox(), Strict()
    async with running(MEMORY, ["defaults", box, strict]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        text = token(box, "confirm_new_email")
        refused = await confirm(client, text)
        again = await ask(client)
        strict.left = 1
        done = await confirm(client, text)

        assert [one.status_code for one in (refused, again, done)] == [403, 403, 204]


async def test_a_link_lives_a_day_or_as_long_as_is_said() -> None:
    clock, box = FrozenClock(), Postbox()
    async with running(MEMORY, ["defaults", box], clock=clock, email_change={"lifetime": "PT2H"}) as client:
        await client.sign_in(await make_user(client.sigra))
        await ask(client)
        clock.tick(timedelta(hours=2))
        late = await confirm(client, token(box, "confirm_new_email"))

        assert code_of(late) == (400, "invalid_token")
        assert "2 hours" in box.messages[0].text
        assert EmailChange().settings.lifetime == timedelta(hours=24)


async def test_what_nobody_confirmed_is_deleted(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Postbox()], clock=clock) as client:
        for name in ("ada", "bob"):
            one = browser(client)
            await one.sign_in_as(await make_user(client.sigra, f"{name}@example.com"))
            await one.post("/auth/email/change", json={"new_email": f"{name}@new.example"})
            clock.tick(timedelta(hours=13))
        await client.sigra.worker.work()
        left = await waiting(client.sigra)

    assert left == 1


# What ends, and what goes on


async def test_hc33_a_change_ends_every_other_session_and_renews_this_one(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as other, browser(client) as thief:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await other.sign_in(user)
        thief.cookies.update(client.cookies)
        await ask(client)
        done = await confirm(client, token(box, "confirm_new_email"))

        assert done.status_code == 204
        assert [(await one.get("/auth/session")).status_code for one in (client, other, thief)] == [200, 401, 401]


async def test_hc33_a_change_confirmed_elsewhere_ends_every_session(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        await confirm(browser(client), token(box, "confirm_new_email"))

        assert (await client.get("/auth/session")).status_code == 401


async def test_keys_go_on(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        await client.sign_in(user)
        await ask(client)
        await confirm(client, token(box, "confirm_new_email"))
        answer = await client.get("/private", headers={"authorization": f"Bearer {key}"})

    assert answer.json() == {"email": NEW}


@dataclass
class Refusing:
    """Refuses a fact."""

    at: str
    name: str = "refusing"
    api: int = 1

    @hookimpl
    async def record_event(self, event: Any) -> None:
        if event.name == self.at:
            raise Refused


@pytest.mark.parametrize("at", ["credentials.revoked", "email_change.confirmed", "session.renewed"])
async def test_hc33_the_change_and_what_ends_with_it_are_one_transaction(at: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box, Refusing(at)]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await other.sign_in(user)
        await ask(client)
        text = token(box, "confirm_new_email")
        refused = [await confirm(client, text), await confirm(client, text)]

        assert [one.status_code for one in refused] == [403, 403]
        assert await address_of(client.sigra, user) == OLD
        assert (await other.get("/auth/session")).status_code == 200


async def test_hc46_what_is_not_recorded_is_neither_asked_for_nor_told(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box, Refusing("email_change.requested")]) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await ask(client)

        assert code_of(refused) == (403, "refused")
        assert (await waiting(client.sigra), box.kinds) == (0, [])


@pytest.mark.parametrize("here", [True, False])
async def test_hc45_a_change_that_is_cut_anywhere_is_done_or_not_and_can_be_repeated(
    here: bool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable, box, at, whole = Cable(), Postbox(), 0, False
    async with running(database, ["defaults", box]) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        text = token(box, "confirm_new_email")
        cable.lay(client, monkeypatch)
        while not whole:
            cable.cut(at)
            answer = await confirm(client if here else browser(client), text)
            whole = at >= len(cable.told)
            cable.mend()
            assert answer.status_code == (204 if whole else 503), at
            assert await address_of(auth, user) == (NEW if whole else OLD), at
            assert (await client.get("/auth/session")).status_code == (200 if here or not whole else 401), at
            at += 1
        await auth.worker.work()

    assert box.kinds.count("email_changed") == 2
    assert at > 8


# Typos, takers, two at once


async def test_hc06_a_typo_changes_nothing_and_is_put_right_by_another_change() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client, "ada@typo.example")
        await ask(client, NEW)
        typo = await confirm(browser(client), token(box, "confirm_new_email", 0))
        right = await confirm(client, token(box, "confirm_new_email", 1))

        assert (code_of(typo), right.status_code) == ((400, "invalid_token"), 204)
        assert await address_of(client.sigra, user) == NEW


async def test_hc06_of_two_changes_at_once_one_waits_and_its_link_alone_is_good(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await other.sign_in(user)
        wanted = ["ada@one.example", "ada@two.example"]
        posts = [
            one.post("/auth/email/change", json={"new_email": address})
            for one, address in zip((client, other), wanted, strict=True)
        ]
        await asyncio.gather(*posts)
        await client.sigra.worker.work()
        [mailed] = [message for message in box.messages if message.kind == "confirm_new_email"]
        done = await confirm(client, token(box, "confirm_new_email"))

        assert done.status_code == 204
        assert await address_of(client.sigra, user) == mailed.recipient


async def test_hc06_an_older_mail_that_is_sent_late_is_worth_nothing_and_ends_nothing() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client, "ada@one.example")
        older = await only_change(auth)
        await ask(client, "ada@two.example")
        newer = token(box, "confirm_new_email")
        late = mint("email_change_confirm", uuid.UUID(older), timedelta(hours=1))
        message = Message("confirm_new_email", "ada@one.example", user, {"hours": 24}, late)
        await auth.db.transaction(partial(auth.send, message=message))
        await auth.worker.work()
        refused = await confirm(client, token(box, "confirm_new_email"))
        done = await confirm(client, newer)

        assert (code_of(refused), done.status_code) == ((400, "invalid_token"), 204)
        assert await address_of(auth, user) == "ada@two.example"


async def only_change(auth: Sigra) -> str:
    async with auth.db.connect() as tx:
        return str((await tx.execute(select(auth.plugin(EmailChange).table.c.id))).scalar_one())


async def test_hc06_an_address_taken_meanwhile_is_a_conflict_and_the_link_stays_good(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        text = token(box, "confirm_new_email")
        taker = await make_user(auth, NEW.upper())
        refused = [await confirm(client, text), await confirm(browser(client), text)]
        still = await client.get("/auth/session")
        await auth.db.transaction(lambda tx: auth.users.delete(tx, taker))
        done = await confirm(client, text)

        assert [code_of(one) for one in refused] == [(409, "conflict")] * 2
        assert (still.status_code, done.status_code) == (200, 204)
        assert await address_of(auth, user) == NEW


async def test_hc06_whoever_reads_the_old_mailbox_can_stop_it_and_no_more(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder]) as client, browser(client) as reader:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        notice = token(box, "email_change_notice")
        stopped = [await cancel(reader, notice), await cancel(reader, notice)]
        late = await confirm(client, token(box, "confirm_new_email"))

        assert [one.status_code for one in stopped] == [204, 400]
        assert code_of(late) == (400, "invalid_token")
        assert not reader.signed_in and "set-cookie" not in stopped[0].headers
        assert await address_of(client.sigra, user) == OLD
        assert (await client.get("/auth/session")).status_code == 200
        assert recorder.recorded[-1].name == "email_change.cancelled"


async def test_hc06_after_the_change_the_old_mailbox_stops_nothing() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        await confirm(client, token(box, "confirm_new_email"))
        late = await cancel(browser(client), token(box, "email_change_notice"))

        assert code_of(late) == (400, "invalid_token")
        assert await address_of(client.sigra, user) == NEW


async def change_password(client: Client, user: User) -> None:
    body = {"current_password": PASSWORD, "new_password": "a train of thought leaves at nine"}
    assert (await client.post("/auth/password/change", json=body)).status_code == 204


async def disable_and_enable(client: Client, user: User) -> None:
    auth = client.sigra
    for status in ("disabled", "active"):
        await auth.db.transaction(lambda tx, status=status: auth.users.set_status(tx, user, status))


async def forget(client: Client, user: User) -> None:
    await client.sigra.db.transaction(lambda tx: client.sigra.forget(tx, user, "first_proof"))


async def move(client: Client, user: User) -> None:
    await client.sigra.db.transaction(lambda tx: client.sigra.users.move(tx, user, "ada@third.example"))


@pytest.mark.parametrize("recover", [change_password, disable_and_enable, forget, move])
async def test_hc06_what_was_asked_for_before_a_recovery_ends_with_it(recover: Any, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        await recover(client, user)
        late = await confirm(browser(client), token(box, "confirm_new_email"))

        assert code_of(late) == (400, "invalid_token")
        assert await address_of(client.sigra, user) != NEW


async def test_hc06_links_that_were_mailed_to_the_old_address_end_with_the_change(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        text = token(box, "confirm_new_email")
        reader = browser(client)
        await reader.post("/auth/password/forgot", json={"email": OLD})
        await reader.post("/auth/magic-link", json={"email": OLD})
        await client.sigra.worker.work()
        reset, link = token(box, "reset_password"), token(box, "magic_link")
        await confirm(client, text)
        answers = [
            await reader.post("/auth/password/reset", json={"token": reset, "new_password": "a new long pass phrase"}),
            await reader.post("/auth/magic-link/verify", json={"token": link}),
        ]

        assert [code_of(one) for one in answers] == [(400, "invalid_token")] * 2
        assert not reader.signed_in


async def test_hc06_a_change_that_was_stopped_before_its_mail_was_written_mails_nothing() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await client.sign_in(await make_user(client.sigra))
        await client.post("/auth/email/change", json={"new_email": NEW})
        stopped = await client.delete("/auth/email/change")
        again = await client.delete("/auth/email/change")
        await client.sigra.worker.work()

    assert (stopped.status_code, code_of(again)) == (204, (404, "not_found"))
    assert "confirm_new_email" not in box.kinds


async def test_hc08_a_disabled_account_changes_nothing(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, user, "disabled"))
        late = await confirm(browser(client), token(box, "confirm_new_email"))
        again = await ask(client)

        assert (code_of(late), code_of(again)) == ((400, "invalid_token"), (401, "unauthenticated"))
        assert await address_of(auth, user) == OLD


async def test_hc09_further_members_change_nothing() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await make_user(client.sigra, "eve@example.com")
        user = await make_user(client.sigra)
        await client.sign_in(user)
        more = {"user_id": "7", "email": "eve@example.com", "old_email": "x@y.example", "email_verified": True}
        asked = await client.post("/auth/email/change", json={"new_email": NEW, **more})
        await client.sigra.worker.work()
        done = await client.post(CONFIRM, json={"token": token(box, "confirm_new_email"), "new_email": "eve@e.example"})

        assert (asked.status_code, done.status_code) == (202, 204)
        assert await address_of(client.sigra, user) == NEW


# The token


async def test_hc14_of_many_confirmations_at_once_one_wins(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        text = token(box, "confirm_new_email")
        answers = await asyncio.gather(*(confirm(browser(client), text) for _ in range(16)))

        assert sorted({one.status_code for one in answers}) == [204, 400]
        assert sum(one.status_code == 204 for one in answers) == 1
        assert sum(one.name == "email_change.confirmed" for one in recorder.recorded) == 1


async def test_hc14_of_confirmation_and_cancellation_at_once_one_wins(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        texts = token(box, "confirm_new_email"), token(box, "email_change_notice")
        answers = await asyncio.gather(confirm(browser(client), texts[0]), cancel(browser(client), texts[1]))

        assert sorted(one.status_code for one in answers) == [204, 400]
        assert await address_of(client.sigra, user) == (NEW if answers[0].status_code == 204 else OLD)


@pytest.mark.parametrize("path", [CONFIRM, CANCEL, "/auth/account/delete/cancel"])
async def test_hc18_no_other_token_fits(path: str) -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        auth, user = client.sigra, await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        texts = {"confirm": token(box, "confirm_new_email"), "cancel": token(box, "email_change_notice")}
        texts["other"] = await auth.db.transaction(
            lambda tx: auth.tokens.issue(tx, "other", user, {"change": str(user.id)}, timedelta(hours=1))
        )
        texts["session"] = client.cookies.get("sigra")
        texts["none"] = "x"
        foreign = {name: text for name, text in texts.items() if not path.endswith(f"change/{name}")}
        answers = {name: await client.post(path, json={"token": text}) for name, text in foreign.items()}

        assert {code_of(one) for one in answers.values()} == {(400, "invalid_token")}
        assert len(answers) >= 4
        assert await address_of(auth, user) == OLD


@pytest.mark.parametrize(("path", "kind"), [(CONFIRM, "confirm_new_email"), (CANCEL, "email_change_notice")])
async def test_hc19_opening_a_link_does_nothing(path: str, kind: str) -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        text, scanner = token(box, kind), browser(client)
        opened = [
            await scanner.request(method, f"{path}?token={text}", headers=headers)
            for method in ("GET", "HEAD")
            for headers in (PAGE, {})
        ]
        before = await address_of(client.sigra, user)
        done = await client.post(path, json={"token": text})

    assert [one.status_code for one in opened] == [200] * 4
    assert not [one for one in opened if text in one.text]
    assert (before, done.status_code) == (OLD, 204)


async def test_hc20_a_link_opened_while_signed_in_as_somebody_else_is_its_own_accounts(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client, browser(client) as other:
        user = await make_user(client.sigra)
        eve = await make_user(client.sigra, "eve@example.com")
        await client.sign_in(user)
        await other.sign_in(eve)
        await ask(client)
        done = await confirm(other, token(box, "confirm_new_email"))

        assert (done.status_code, "set-cookie" in done.headers) == (204, False)
        assert await address_of(client.sigra, user) == NEW
        assert await address_of(client.sigra, eve) == "eve@example.com"
        assert (await other.get("/auth/session")).json()["user"]["email"] == "eve@example.com"


async def test_hc21_no_table_and_no_event_has_a_token(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", box, recorder]) as client:
        await client.sign_in(await make_user(client.sigra))
        await ask(client)
        texts = [token(box, kind) for kind in ("confirm_new_email", "email_change_notice")]
        async with client.sigra.db.connect() as tx:
            stored = [str((await tx.execute(select(table))).all()) for table in client.sigra.metadata.tables.values()]
        told = [repr(one) for one in (*recorder.recorded, *box.messages, *(MailedToken(token=text) for text in texts))]

    assert not [text for text in texts for row in (*stored, *told) if text in row]


@pytest.mark.parametrize(("path", "button"), [(CONFIRM, "Confirm this address"), (CANCEL, "Keep this address")])
async def test_hc38_the_pages_of_the_links_are_ours_and_bear_no_value_of_the_address(path: str, button: str) -> None:
    async with running(MEMORY, ["defaults", Postbox()]) as client:
        page = await client.get(f"{path}?token=%3Cscript%3E&next=%3Cscript%3E&done=%3Cscript%3E", headers=PAGE)
        refused = await client.as_browser().post(path, data={"token": "<script>alert(1)</script>"})

    assert f"<button>{button}</button>" in page.text and 'name="token"' in page.text
    assert page.text.count("<script>") == refused.text.count("<script>") == 1
    assert (refused.status_code, refused.text.count('role="alert"')) == (400, 1)
    assert "alert(1)" not in refused.text
    assert page.headers["cache-control"] == "no-store"
    assert "script-src 'sha256-" in page.headers["content-security-policy"]


# Nobody learns who has an account


@dataclass
class Statements:
    """What is sent to the database."""

    sent: list[str] = field(default_factory=list)

    def watch(self, auth: Sigra) -> None:
        event.listen(auth.db._engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        self.sent.append(statement)


async def test_hc39_known_and_unknown_addresses_are_answered_alike(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", box]) as client:
        auth = client.sigra
        for name in ("known", "gone"):
            await make_user(auth, f"{name}@example.com")
        gone = await auth.users.by_email("gone@example.com")
        await auth.db.transaction(lambda tx: auth.users.set_status(tx, gone, "disabled"))
        statements = Statements()
        statements.watch(auth)
        seen = []
        for n, address in enumerate(["known@example.com", "gone@example.com", "other@example.com"]):
            one = browser(client)
            await one.sign_in_as(await make_user(auth, f"ada{n}@example.com"))
            rows = await counts(auth)
            statements.sent.clear()
            answer = await one.post("/auth/email/change", json={"new_email": address})
            sent = list(statements.sent)
            more = [after - before for before, after in zip(rows, await counts(auth), strict=True)]
            seen.append((answer.status_code, answer.content, list(answer.headers.items()), sent, more))
        await auth.worker.work()

    first, *others = seen
    assert first[0] == 202
    assert all(other == first for other in others)
    asked = [message.recipient for message in box.messages if message.kind == "confirm_new_email"]
    assert asked == ["other@example.com"]


async def counts(auth: Sigra) -> list[int]:
    async with auth.db.connect() as tx:
        tables = auth.metadata.sorted_tables
        return [await tx.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


# The pages


async def test_a_person_changes_the_address_by_forms() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await client.sign_in(await make_user(client.sigra))
        person = client.as_browser()
        page = await client.get("/auth/account", headers=PAGE)
        target = re.search(r'action="(/auth/email/change\?[^"]+)"', page.text)[1].replace("&amp;", "&")
        asked = await person.post(target, data={"new_email": NEW})
        told = await client.get(asked.headers["location"], headers=PAGE)
        await client.sigra.worker.work()
        link = await client.get(CONFIRM, headers=PAGE)
        target = re.search(r'action="(/auth/email/change/confirm\?[^"]+)"', link.text)[1].replace("&amp;", "&")
        done = await person.post(target, data={"token": token(box, "confirm_new_email")})
        after = await client.get(done.headers["location"], headers=PAGE)

    assert asked.headers["location"] == "/auth/account?done=email_change.requested#email"
    assert "We wrote to the new address." in told.text and f"<strong>{NEW}</strong>" in told.text
    assert done.headers["location"] == "/auth/email/change/confirm?done=email_change.confirmed"
    assert "Your account has its new address." in after.text


async def test_a_person_stops_a_change_by_a_form_and_by_the_link() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        await client.sign_in(await make_user(client.sigra))
        person = client.as_browser()
        await ask(client)
        stopped = await person.post("/auth/email/change?next=/auth/account", data={"_method": "DELETE"})
        page = await client.get("/auth/account", headers=PAGE)
        await ask(client)
        link = await client.get(CANCEL, headers=PAGE)
        target = re.search(r'action="(/auth/email/change/cancel\?[^"]+)"', link.text)[1].replace("&amp;", "&")
        done = await person.post(target, data={"token": token(box, "email_change_notice")})
        after = await client.get(done.headers["location"], headers=PAGE)

    assert stopped.status_code == 303
    assert NEW not in page.text
    assert "The change was stopped" in after.text


async def test_what_is_wrong_is_told_beside_the_form() -> None:
    async with running(MEMORY, ["defaults", Postbox()]) as client:
        await client.sign_in(await make_user(client.sigra))
        refused = await client.as_browser().post("/auth/email/change", data={"new_email": "ada@"})

    section = refused.text.partition('<section id="email"')[2].partition("</section>")[0]
    assert refused.status_code == 422
    assert "This is not an e-mail address." in section and 'value="ada@"' in section


async def test_a_stale_sign_in_is_offered_to_confirm_first() -> None:
    clock = FrozenClock()
    async with running(MEMORY, ["defaults", Postbox()], clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        clock.tick(timedelta(minutes=6))
        page = await client.get("/auth/account", headers=PAGE)

    section = page.text.partition('<section id="email"')[2].partition("</section>")[0]
    assert "/auth/reauthenticate?next=%2Fauth%2Faccount%23email" in section and "new_email" not in section


async def test_a_change_that_waits_is_in_the_export() -> None:
    async with running(MEMORY, ["defaults", Postbox()]) as client:
        await client.sign_in(await make_user(client.sigra))
        await ask(client)
        export = (await client.get("/auth/account/export")).json()

    assert export["email_change"] == {
        "new_email": NEW,
        "created_at": "2026-01-01T12:00:00Z",
        "expires_at": "2026-01-02T12:00:00Z",
    }


async def test_a_proof_by_which_one_signs_in_again_does_not_end_what_waits() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", box]) as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        await ask(client)
        await client.sign_in_as(user, "pwd")
        done = await confirm(client, token(box, "confirm_new_email"))

    assert done.status_code == 204

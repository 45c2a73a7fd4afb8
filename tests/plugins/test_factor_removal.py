"""Losing every factor: an administrator's word, a mail, time to object; and a mailbox alone removes nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Action, Refused, User, hookimpl
from sigra.plugins.second_factor import RemoveFactors, SecondFactor
from sigra.plugins.second_factor.removals import Removals
from sigra.plugins.second_factor.shapes import MailedToken
from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.apps import Postbox, running
from tests.plugins.tags import Tag, add_tag, challenged, proven
from tests.policies import Recorder, Waiver

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html"}
CANCEL, KEEP = "/auth/second-factor/removal/cancel", "/auth/second-factor/removal"
DAY = timedelta(days=1)
NEW = "a train of thought leaves at nine"


class Guard:
    """A stranger's plugin that refuses to have factors removed."""

    name, api = "guard", 1
    refuses = True

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if isinstance(action, RemoveFactors) and self.refuses:
            raise Refused("Not of this one.")


def removals(client: Client) -> Removals:
    return client.sigra.plugin(SecondFactor).removals


async def announce(client: Client, user: User, wait: timedelta = DAY) -> datetime:
    """What `sigra users remove-factors` does; all mail is then delivered."""

    async def request(tx: AsyncConnection) -> datetime:
        locked = await client.sigra.users.lock(tx, user.id)
        assert locked
        return await removals(client).request(client.sigra, tx, locked, wait)

    at = await client.sigra.db.transaction(request)
    await client.sigra.worker.work()
    return at


async def due(client: Client) -> None:
    """What the job does, and the mail after it."""
    await removals(client).remove_due(client.sigra)
    await client.sigra.worker.work()


async def waits(client: Client, user: User) -> bool:
    async with client.sigra.db.connect() as tx:
        return await removals(client).waiting(tx, user) is not None


def has_tag(client: Client, user: User) -> bool:
    return bool(client.sigra.plugin(Tag).of[user.id])


def token(box: Postbox, which: int = -1) -> str:
    """The token of an announcement, the newest when nothing else is said."""
    message = [one for one in box.messages if one.kind == "factors_removal_requested"][which]
    found = re.search(r"#token=([A-Za-z0-9_-]{43})", message.text)
    assert found
    return found[1]


async def cancel(client: Client, text: str) -> httpx2.Response:
    return await client.post(CANCEL, json={"token": text})


def browser(client: Client) -> Client:
    return Client(client.app, client.sigra)


# An administrator's word


async def test_hc16_factors_are_removed_after_a_wait_of_which_the_owner_is_told_at_once(database: str) -> None:
    box, clock, recorder = Postbox(), FrozenClock(), Recorder()
    async with running(database, ["defaults", Tag(), box, recorder], clock=clock) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        at = await announce(client, user)
        told = list(box.messages)
        clock.tick(DAY - timedelta(microseconds=1))
        await due(client)
        before = has_tag(client, user), (await challenged(client, user)).status_code
        clock.tick(timedelta(microseconds=1))
        await due(client)
        after = has_tag(client, user), (await challenged(client, user)).status_code

    assert at == clock()
    [mail] = [one for one in told if one.kind == "factors_removal_requested"]
    assert mail.recipient == user.email
    assert "2026-01-02 12:00 UTC" in mail.text
    assert (before, after) == ((True, 202), (False, 200))
    assert box.kinds[-1] == "factors_removed"
    names = [one.name for one in recorder.recorded]
    assert "second_factor.removal_requested" in names
    [removed] = [one for one in recorder.recorded if one.name == "second_factor.removed"]
    assert (removed.user_id, removed.metadata) == (user.id, {"methods": ["recovery_code", "tag"]})


async def test_hc33_with_the_factors_every_session_and_sign_in_under_way_ends(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Tag()], clock=clock) as client, browser(client) as other:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        key = await make_api_key(client.sigra, user)
        waiting = await other.sign_in(user)
        await announce(client, user, timedelta(0))
        await due(client)
        program = await browser(client).get("/", headers={"authorization": f"Bearer {key}"})
        late = await other.post("/auth/login/tag", json={"code": "right"})
        codes = await client.get("/auth/recovery-codes")

    assert waiting.status_code == 202
    assert (late.status_code, codes.status_code) == (401, 401)
    assert late.json()["code"] == "login_expired"
    assert program.json()["email"] == "ada@example.com"


async def test_hc16_a_removal_that_is_put_off_is_stopped_by_its_link(database: str) -> None:
    box, clock = Postbox(), FrozenClock()
    async with running(database, ["defaults", Tag(), Guard(), box], clock=clock) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        await client.sigra.worker.work()
        text = token(box)
        clock.tick(DAY)
        await due(client)
        stopped = await client.post("/auth/second-factor/removal/cancel", json={"token": text})
        waiting = await waits(client, user)

    assert (stopped.status_code, waiting) == (204, False)


async def test_a_plugin_may_refuse_and_is_asked_again_a_day_later(caplog: pytest.LogCaptureFixture) -> None:
    guard, clock = Guard(), FrozenClock()
    async with running(MEMORY, ["defaults", Tag(), guard], clock=clock) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user, timedelta(0))
        await due(client)
        refused = has_tag(client, user), await waits(client, user)
        guard.refuses = False
        await due(client)
        not_yet = has_tag(client, user)
        clock.tick(DAY)
        await due(client)
        removed = has_tag(client, user), await waits(client, user)

    assert (refused, not_yet, removed) == ((True, True), True, (False, False))
    assert f"the factors of account {user.id} are not removed: Refused" in caplog.text


async def test_hc16_a_removal_that_is_refused_for_long_ends_before_its_link(database: str) -> None:
    guard, clock, recorder = Guard(), FrozenClock(), Recorder()
    async with running(database, ["defaults", Tag(), guard, recorder], clock=clock) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        clock.tick(59 * DAY)
        await due(client)
        put_off = await waits(client, user)
        clock.tick(DAY)
        await due(client)
        ended = await waits(client, user)
        guard.refuses = False
        clock.tick(2 * DAY)
        await due(client)
        kept = has_tag(client, user)

    cancelled = [one.metadata for one in recorder.recorded if one.name == "second_factor.removal_cancelled"]
    assert (put_off, ended, kept) == (True, False, True)
    assert cancelled == [{"by": "refusal"}]


# Stopping it


async def test_hc16_whoever_reads_the_mail_stops_it(database: str) -> None:
    box, clock, recorder = Postbox(), FrozenClock(), Recorder()
    async with running(database, ["defaults", Tag(), box, recorder], clock=clock) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        async with browser(client) as mailbox:
            stopped = await cancel(mailbox, token(box))
            again = await cancel(mailbox, token(box))
            signed_in = mailbox.signed_in
        clock.tick(DAY)
        await due(client)
        stays = has_tag(client, user)

    assert stopped.status_code == 204
    assert (again.status_code, again.json()["code"]) == (400, "invalid_token")
    assert stays
    assert not signed_in
    [event] = [one for one in recorder.recorded if one.name == "second_factor.removal_cancelled"]
    assert event.metadata == {"by": "link"}


async def test_a_form_stops_it_and_says_so() -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        wrong = await client.post(CANCEL, data={"token": "x" * 43}, headers=PAGE)
        done = await client.post(
            CANCEL, params={"next": f"{CANCEL}?done=removal.cancelled"}, data={"token": token(box)}, headers=PAGE
        )
        said = await client.get(done.headers["location"], headers=PAGE)

    assert wrong.status_code == 400
    assert "Keep my second factor" in wrong.text
    assert done.status_code == 303
    assert "Your second factor stays." in said.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_hc19_opening_the_link_stops_nothing(method: str, database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        opened = await browser(client).request(method, f"{CANCEL}?token={token(box)}", headers=PAGE)

        assert opened.status_code == 200
        assert await waits(client, user)


async def test_hc20_the_link_of_an_older_removal_does_not_stop_a_newer_one(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        await announce(client, user)
        older = await cancel(client, token(box, 0))
        still = await waits(client, user)
        newer = await cancel(client, token(box, 1))

    assert (older.status_code, still, newer.status_code) == (400, True, 204)


async def test_hc20_a_late_mail_of_an_older_removal_does_not_stop_a_newer_one(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await client.sigra.worker.work()

        async def twice(tx: AsyncConnection) -> None:
            for wait in (2 * DAY, DAY):
                await removals(client).request(client.sigra, tx, user, wait)

        await client.sigra.db.transaction(twice)
        await client.sigra.worker.work()
        mails = [one for one in box.messages if one.kind == "factors_removal_requested"]
        older = next(which for which, mail in enumerate(mails) if "2026-01-03" in mail.text)
        stopped = [(await cancel(client, token(box, which))).status_code for which in (older, 1 - older)]

    assert len(mails) == 2
    assert stopped == [400, 204]


async def test_hc18_the_token_of_another_purpose_stops_nothing(database: str) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        await client.post("/auth/password/forgot", json={"email": user.email})
        await client.sigra.worker.work()
        refused = await cancel(client, box.token())

        assert box.kinds[-1] == "reset_password"
        assert (refused.status_code, await waits(client, user)) == (400, True)


async def test_hc21_the_token_of_a_removal_is_in_no_repr() -> None:
    assert "secret" not in repr(MailedToken(token="secret"))


@pytest.mark.parametrize("by", ["tag", "recovery code"])
async def test_hc16_a_sign_in_with_a_factor_stops_it(by: str, database: str) -> None:
    recorder = Recorder()
    async with running(database, ["defaults", Tag(), recorder]) as client:
        user = await make_user(client.sigra)
        codes = await add_tag(client, user)
        await announce(client, user)
        await challenged(client, user)
        half = await waits(client, user)
        if by == "tag":
            await client.post("/auth/login/tag", json={"code": "right"})
        else:
            await client.post("/auth/login/recovery-code", json={"code": codes[0]})
        still = await waits(client, user)

    assert (half, still) == (True, False)
    [event] = [one for one in recorder.recorded if one.name == "second_factor.removal_cancelled"]
    assert event.metadata == {"by": "factor"}


async def test_hc16_a_sign_in_that_was_spared_the_factor_stops_nothing(database: str) -> None:
    async with running(database, ["defaults", Tag(), Waiver(["mfa"])]) as client:
        user = await make_user(client.sigra)
        client.sigra.plugin(Tag).of[user.id].add("blue")
        await announce(client, user)
        spared = await client.sign_in(user)

        assert (spared.status_code, await waits(client, user)) == (200, True)


async def test_a_factor_that_is_added_stops_it() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        await client.post("/auth/tags/green", json={})

        assert not await waits(client, user)


async def test_whoever_is_still_signed_in_is_told_on_the_account_page_and_stops_it() -> None:
    async with running(MEMORY, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        page = await client.get("/auth/account", headers=PAGE)
        held = (await client.get("/auth/account/export")).json()["second_factor"]["removal"]
        kept = await client.post(KEEP, data={"_method": "DELETE", "next": "/auth/account"}, headers=PAGE)
        stopped = not await waits(client, user)
        await announce(client, user)
        by_program = await client.delete(KEEP)
        none = await client.delete(KEEP)
        nobody = await browser(client).delete(KEEP)

    assert "Keep my second factors" in page.text
    assert held == {"requested_at": "2026-01-01T12:00:00Z", "remove_at": "2026-01-02T12:00:00Z"}
    assert (kept.status_code, stopped, by_program.status_code) == (303, True, 204)
    assert (none.status_code, nobody.status_code) == (404, 401)


async def test_hc14_a_link_and_the_end_of_the_wait_at_once_have_one_outcome(database: str) -> None:
    box, recorder = Postbox(), Recorder()
    async with running(database, ["defaults", Tag(), box, recorder]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        # By one worker's clock the wait is over, by another's the link is still good.
        over = update(removals(client).table).values(remove_at=client.sigra.clock())
        await client.sigra.db.transaction(lambda tx: tx.execute(over))
        answers = asyncio.gather(*(cancel(browser(client), token(box)) for _ in range(4)))
        stopped, _ = await asyncio.gather(answers, removals(client).remove_due(client.sigra))
        names = [one.name for one in recorder.recorded]

    ended = [one for one in names if one in ("second_factor.removal_cancelled", "second_factor.removed")]
    assert len(ended) == 1
    assert [one.status_code for one in stopped].count(204) == (ended == ["second_factor.removal_cancelled"])


# What ends it


async def test_hc24_a_restored_database_removes_nobodys_factors(database: str) -> None:
    async with running(database, ["defaults", Tag()]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        counts = await client.sigra.db.transaction(client.sigra.plugin(SecondFactor).end_restored)

        assert counts == {"removals of second factors": 1}
        assert not await waits(client, user)


@pytest.mark.parametrize("ends", ["forget", "erase"])
async def test_what_ends_an_account_or_all_that_was_set_ends_the_wait_and_its_link(ends: str) -> None:
    box = Postbox()
    async with running(MEMORY, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await announce(client, user)
        mine = client.sigra.plugin(SecondFactor)
        end = mine.forget_authenticators if ends == "forget" else mine.erase_user
        await client.sigra.db.transaction(partial(end, client.sigra, user=user))
        stopped = await cancel(client, token(box))

        assert (await waits(client, user), stopped.status_code) == (False, 400)


# A mailbox alone


async def reset(client: Client, box: Postbox, user: User) -> None:
    await client.post("/auth/password/forgot", json={"email": user.email})
    await client.sigra.worker.work()
    answer = await client.post("/auth/password/reset", json={"token": box.token(), "new_password": PASSWORD + "!"})
    assert answer.status_code == 204


async def link(client: Client, box: Postbox, user: User) -> None:
    await client.post("/auth/magic-link", json={"email": user.email})
    await client.sigra.worker.work()
    answer = await client.post("/auth/magic-link/verify", json={"token": box.token()})
    assert answer.status_code == 202
    assert answer.json()["challenges"][0]["kind"] == "mfa"


async def unlock_by_removal(client: Client, box: Postbox, user: User) -> None:
    await announce(client, user)
    assert (await cancel(client, token(box))).status_code == 204


async def verify(client: Client, box: Postbox, user: User) -> None:
    await client.post("/auth/email/verify/resend", json={"email": user.email})
    await client.sigra.worker.work()
    assert "verify_email" not in box.kinds


async def close_and_open(client: Client, box: Postbox, user: User) -> None:
    await proven(client, user)
    assert (await client.post("/auth/account/delete", json={})).status_code == 202
    await client.sigra.worker.work()
    answer = await client.post("/auth/account/delete/cancel", json={"token": box.token()})
    assert answer.status_code == 204


async def move(client: Client, box: Postbox, user: User) -> None:
    await proven(client, user)
    await client.post("/auth/email/change", json={"new_email": "ada@new.example"})
    await client.sigra.worker.work()
    answer = await browser(client).post("/auth/email/change/confirm", json={"token": box.token()})
    assert answer.status_code == 204


BY_MAIL = [reset, link, unlock_by_removal, verify, close_and_open, move]


@pytest.mark.parametrize("by_mail", BY_MAIL, ids=[one.__name__ for one in BY_MAIL])
async def test_hc16_mail_alone_removes_no_factor_and_spares_none(
    by_mail: Callable[[Client, Postbox, User], Awaitable[Any]], database: str
) -> None:
    box = Postbox()
    async with running(database, ["defaults", Tag(), box]) as client:
        user = await make_user(client.sigra)
        await add_tag(client, user)
        await client.sign_out()
        await client.sigra.worker.work()
        await by_mail(client, box, user)
        stays = has_tag(client, user)
        after = await client.sigra.users.by_id(user.id)
        async with browser(client) as other:
            password = PASSWORD + "!" if by_mail is reset else PASSWORD
            body = {"email": after and after.email, "password": password}
            waiting = await other.post("/auth/login", json=body)
            signed_in = other.signed_in

    assert stays
    assert (waiting.status_code, signed_in) == (202, False)
    assert waiting.json()["challenges"][0] == {"kind": "mfa", "methods": ["tag", "recovery_code"]}

"""From what is asked for to what is sent: once, in order, the same words each time, and nothing secret on the way."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import MailRequest, Message, RenderedMessage, Undeliverable, Undelivered, hookimpl
from sigra.mail.outbox import DEAD_FOR, LEASE
from sigra.testing import FrozenClock
from sigra.worker.loop import RETRY_DELAYS
from tests.apps import Postbox, running
from tests.mailing import LIFETIME, Bell, Moody, ask, dump, ring, rows, send, spend

MINUTE = timedelta(minutes=1)


async def test_what_is_asked_for_is_answered_and_sent_once(database: str) -> None:
    post = Postbox()
    async with running(database, [Bell(), post]) as client:
        await ask(client.sigra)
        before = list(post.kinds)
        done = [await client.sigra.worker.work(), await client.sigra.worker.work()]
        left = await rows(client.sigra)
        payload = await spend(client.sigra, post.token())

    assert before == []
    assert post.kinds == ["ring"]
    assert done[1] == 0
    assert left == []
    assert payload == {"for": "ada@example.com"}


async def test_what_nobody_answers_is_gone_and_nothing_is_sent() -> None:
    post = Postbox()
    async with running("sqlite:///:memory:", [Bell(), post]) as client:
        await ask(client.sigra, purpose="gong")
        await client.sigra.worker.work()

        assert (post.kinds, await rows(client.sigra)) == ([], [])


async def test_without_a_sender_nothing_is_kept_to_be_sent() -> None:
    async with running("sqlite:///:memory:", [Bell()]) as client:
        await ask(client.sigra)
        await send(client.sigra, ring("ada@example.com"))

        assert await rows(client.sigra) == []


async def test_what_is_sent_in_a_transaction_that_is_undone_is_not_sent(database: str) -> None:
    post = Postbox()
    async with running(database, [Bell(), post]) as client:
        auth = client.sigra

        async def body(tx: AsyncConnection) -> None:
            await auth.send(tx, ring("ada@example.com"))
            raise RuntimeError

        with pytest.raises(RuntimeError):
            await auth.db.transaction(body)
        await auth.worker.work()

    assert post.kinds == []


# The same each time


async def test_a_message_that_is_sent_again_is_the_same(database: str) -> None:
    post, clock = Moody(ConnectionResetError()), FrozenClock()
    async with running(database, [Bell(), post], clock=clock) as client:
        await ask(client.sigra)
        await client.sigra.worker.work()
        clock.tick(MINUTE)
        await client.sigra.worker.work()
        payload = await spend(client.sigra, post.token())

    assert post.kinds == ["ring", "ring"]
    assert post.messages[0] == post.messages[1]
    assert payload == {"for": "ada@example.com"}


async def test_hc14_a_token_that_was_used_is_not_made_good_by_sending_its_message_again(database: str) -> None:
    post, clock = Moody(ConnectionResetError()), FrozenClock()
    async with running(database, [Bell(), post], clock=clock) as client:
        await ask(client.sigra)
        await client.sigra.worker.work()
        used = await spend(client.sigra, post.token())
        clock.tick(MINUTE)
        await client.sigra.worker.work()

        assert used == {"for": "ada@example.com"}
        assert await spend(client.sigra, post.token()) is None
        assert post.kinds == ["ring"]
        assert await rows(client.sigra) == []


async def test_hc23_a_message_that_is_sent_again_after_a_rotation_has_the_token_of_the_first_time(
    database: str,
) -> None:
    post, clock, old, new = Moody(ConnectionResetError()), FrozenClock(), "the-old-key" * 4, "the-new-key" * 4
    async with running(database, [Bell(), post], clock=clock, secret_keys=[old]) as client:
        await ask(client.sigra)
        await client.sigra.worker.work()
    clock.tick(MINUTE)
    async with running(database, [Bell(), post], clock=clock, secret_keys=[new, old]) as client:
        await client.sigra.worker.work()
        payload = await spend(client.sigra, post.token())

    assert post.kinds == ["ring", "ring"]
    assert post.messages[0] == post.messages[1]
    assert payload == {"for": "ada@example.com"}


async def test_a_message_whose_key_has_retired_is_dropped(database: str) -> None:
    post, clock = Moody(ConnectionResetError()), FrozenClock()
    async with running(database, [Bell(), post], clock=clock) as client:
        await ask(client.sigra)
        await client.sigra.worker.work()
    clock.tick(MINUTE)
    async with running(database, [Bell(), post], clock=clock, secret_keys=["another-key" * 4]) as client:
        await client.sigra.worker.work()
        left = await rows(client.sigra)

    assert (post.kinds, left) == (["ring"], [])


async def test_hc20_an_older_message_that_is_late_is_dropped_and_the_newer_link_lives(database: str) -> None:
    post, clock = Postbox(), FrozenClock()
    async with running(database, [Bell(), post], clock=clock) as client:
        auth = client.sigra
        await send(auth, ring("ada@example.com"))
        async with auth.db.connect() as tx:
            [older] = await auth.outbox.due(tx, 8)
        await auth.db.transaction(lambda tx: auth.outbox.postpone(tx, older, MINUTE, "as if it had failed"))
        clock.tick()
        await send(auth, ring("ada@example.com"))
        await auth.worker.work()
        clock.tick(MINUTE)
        await auth.worker.work()

        assert post.kinds == ["ring"]
        assert await rows(auth) == []
        assert await spend(auth, post.token()) == {"for": "ada@example.com"}


async def test_a_message_whose_link_has_ended_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sigra.worker")
    clock, post = FrozenClock(), Postbox()
    async with running("sqlite:///:memory:", [Bell(), post], clock=clock) as client:
        await send(client.sigra, ring("ada@example.com"))
        clock.tick(LIFETIME)
        await client.sigra.worker.work()

        assert (post.kinds, await rows(client.sigra)) == ([], [])
        assert "ring" in caplog.text and "is dropped: its link was used, replaced or has ended" in caplog.text


async def test_messages_about_an_account_go_with_it(database: str) -> None:
    post = Postbox()
    async with running(database, [Bell(), post]) as client:
        auth = client.sigra
        user = await auth.db.transaction(lambda tx: auth.users.create(tx, email="ada@example.com"))
        await send(auth, Message("chime", "old@example.com", user))
        await send(auth, Message("chime", "eve@example.com"))
        await auth.db.transaction(lambda tx: auth.users.delete(tx, user))
        await auth.worker.work()

    assert [message.recipient for message in post.messages] == ["eve@example.com"]


# What fails


async def test_hc45_what_cannot_be_delivered_is_tried_for_two_days_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, post = FrozenClock(), Moody(*[OSError("the line is dead") for _ in range(9)])
    async with running("sqlite:///:memory:", [Bell(), post], clock=clock) as client:
        await send(client.sigra, Message("chime", "ada@example.com"))
        tries = []
        for delay in (*RETRY_DELAYS, timedelta(days=7)):
            await client.sigra.worker.work()
            clock.tick(delay - timedelta(seconds=1))
            await client.sigra.worker.work()
            tries.append(len(post.messages))
            clock.tick(timedelta(seconds=1))
        await client.sigra.worker.work()
        [row] = await rows(client.sigra)

    assert tries == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert len(post.messages) == 9
    assert timedelta(hours=40) < sum(RETRY_DELAYS, timedelta()) < timedelta(hours=50)
    assert (row.dead_at is not None, row.problem) == (True, "OSError")
    assert "given up" in caplog.text


async def test_what_was_given_up_starts_anew_when_an_operator_says_so(database: str) -> None:
    post = Moody(Undeliverable("there is no such mailbox"))
    async with running(database, [Bell(), post]) as client:
        await send(client.sigra, ring("ada@example.com"))
        await client.sigra.worker.work()
        await client.sigra.worker.work()
        [row] = await rows(client.sigra)
        again = await client.sigra.db.transaction(client.sigra.outbox.retry)
        await client.sigra.worker.work()

        assert (row.dead_at is not None, row.problem, row.tries) == (True, "there is no such mailbox", 1)
        assert again == 1
        assert post.messages[0] == post.messages[1]
        assert await rows(client.sigra) == []


async def test_what_is_retried_after_its_link_has_ended_is_dropped() -> None:
    post, clock = Moody(Undeliverable("there is no such mailbox")), FrozenClock()
    async with running("sqlite:///:memory:", [Bell(), post], clock=clock) as client:
        await send(client.sigra, ring("ada@example.com"))
        await client.sigra.worker.work()
        clock.tick(LIFETIME)
        await client.sigra.db.transaction(client.sigra.outbox.retry)
        await client.sigra.worker.work()

        assert (post.kinds, await rows(client.sigra)) == (["ring"], [])


async def test_one_that_fails_holds_nobody_up(database: str) -> None:
    post = Moody(*[Undelivered("greylisted") for _ in range(10)])
    async with running(database, [Bell(), post]) as client:
        for number in range(12):
            await send(client.sigra, Message("chime", f"{number}@example.com"))
        await client.sigra.worker.work()
        left = await rows(client.sigra)

    assert len(post.messages) == 12
    assert [row.problem for row in left] == ["greylisted"] * 10


async def test_a_plugin_that_fails_to_answer_is_asked_again_and_others_are_answered(database: str) -> None:
    class Faint(Bell):
        fails = True

        @hookimpl
        async def answer_mail_request(self, auth, tx, request):
            if request.purpose == "gong" and self.fails:
                await auth.send(tx, Message("chime", request.address))
                raise RuntimeError("a bug")
            await super().answer_mail_request(auth, tx, MailRequest("bell", request.address))

    faint, post, clock = Faint(), Postbox(), FrozenClock()
    async with running(database, [faint, post], clock=clock) as client:
        await ask(client.sigra, "eve@example.com", "gong")
        await ask(client.sigra)
        await client.sigra.worker.work()
        [row] = await rows(client.sigra)
        faint.fails = False
        clock.tick(MINUTE)
        await client.sigra.worker.work()
        left = await rows(client.sigra)

    assert (row.kind, row.tries, row.problem) == ("gong", 1, "RuntimeError")
    assert [message.recipient for message in post.messages] == ["ada@example.com", "eve@example.com"]
    assert post.kinds == ["ring", "ring"]
    assert left == []


async def test_a_sender_that_hangs_is_given_up_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    class Hanging(Postbox):
        @hookimpl
        async def send_message(self, message: RenderedMessage) -> bool:
            await asyncio.Event().wait()
            return True

    monkeypatch.setattr("sigra.worker.loop.DELIVERY_LIMIT", 0.05)
    async with running("sqlite:///:memory:", [Bell(), Hanging()]) as client:
        await send(client.sigra, Message("chime", "ada@example.com"))
        await client.sigra.worker.work()
        [row] = await rows(client.sigra)

    assert (row.tries, row.problem, row.dead_at) == (1, "TimeoutError", None)


async def test_a_message_that_nobody_sends_is_kept() -> None:
    class Busy(Postbox):
        @hookimpl
        async def send_message(self, message: RenderedMessage) -> bool | None:
            return None

    async with running("sqlite:///:memory:", [Bell(), Busy()]) as client:
        await send(client.sigra, Message("chime", "ada@example.com"))
        await client.sigra.worker.work()
        [row] = await rows(client.sigra)

    assert row.problem == "no plugin sends mail"


# Several workers


async def test_hc46_a_row_is_one_workers_until_its_lease_ends(database: str) -> None:
    clock = FrozenClock()
    async with running(database, [Bell(), Postbox()], clock=clock) as client:
        auth = client.sigra
        await send(auth, Message("chime", "ada@example.com"))
        async with auth.db.connect() as tx:
            [seen] = await auth.outbox.due(tx, 8)
        claims = [await auth.db.transaction(lambda tx: auth.outbox.claim(tx, seen)) for _ in range(2)]
        async with auth.db.connect() as tx:
            leased = await auth.outbox.due(tx, 8)
            clock.tick(LEASE)
            ended = await auth.outbox.due(tx, 8)

    assert claims[0] is not None and claims[1] is None
    assert leased == []
    assert [one.id for one in ended] == [seen.id]


async def test_hc46_a_worker_that_lost_its_lease_changes_nothing(database: str) -> None:
    clock = FrozenClock()
    async with running(database, [Bell(), Postbox()], clock=clock) as client:
        auth = client.sigra
        await send(auth, Message("chime", "ada@example.com"))

        async def claimed():
            async with auth.db.connect() as tx:
                [seen] = await auth.outbox.due(tx, 8)
            return await auth.db.transaction(lambda tx: auth.outbox.claim(tx, seen))

        late = await claimed()
        clock.tick(LEASE)
        own = await claimed()
        [before] = await rows(auth)
        postponed = await auth.db.transaction(lambda tx: auth.outbox.postpone(tx, late, None, "late"))
        done = await auth.db.transaction(lambda tx: auth.outbox.done(tx, late))
        [after] = await rows(auth)
        mine = await auth.db.transaction(lambda tx: auth.outbox.done(tx, own))

    assert (postponed, done, mine) == (False, False, True)
    assert before == after


async def test_hc46_a_message_that_kills_its_workers_is_given_up(database: str) -> None:
    post, clock = Postbox(), FrozenClock()
    async with running(database, [Bell(), post], clock=clock) as client:
        auth = client.sigra
        await send(auth, Message("chime", "ada@example.com"))
        for _ in range(len(RETRY_DELAYS) + 1):
            async with auth.db.connect() as tx:
                [seen] = await auth.outbox.due(tx, 8)
            assert await auth.db.transaction(lambda tx, seen=seen: auth.outbox.claim(tx, seen)) is not None
            clock.tick(LEASE)
        await auth.worker.work()
        left = [(row.dead_at is not None, row.problem) for row in await rows(auth)]

    assert post.kinds == []
    assert left == [(True, "its workers were killed")]


# Secrets


async def test_hc21_no_table_log_or_problem_has_a_token_or_a_code(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("sigra", "sqlalchemy"):
        caplog.set_level(logging.DEBUG, name)
    seen: list[str] = []

    class Careless(Moody):
        @hookimpl
        async def send_message(self, message: RenderedMessage) -> bool:
            seen.extend((await dump(client.sigra), repr(message)))
            self.moods = [ValueError(message.text)] if len(self.messages) < 2 else []
            return await super().send_message(message)

    post, clock = Careless(), FrozenClock()
    async with running(database, [Bell(), post], clock=clock) as client:
        await ask(client.sigra)
        seen.append(await dump(client.sigra))
        for _ in range(3):
            await client.sigra.worker.work()
            seen.append(await dump(client.sigra))
            clock.tick(timedelta(minutes=6))
        secrets = post.token(), post.code()

    # The sender's own traceback, which the hook's report has, shows its error's text: only there may it be.
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert post.kinds == ["ring"] * 3
    for secret in secrets:
        assert secret not in told
        assert not [place for place in seen if secret in place]


async def test_hc22_what_lies_in_the_tables_makes_no_token_without_the_key(database: str) -> None:
    post, clock = Moody(ConnectionResetError()), FrozenClock()
    async with running(database, [Bell(), post], clock=clock) as client:
        await ask(client.sigra)
        await client.sigra.worker.work()
        [waiting] = await rows(client.sigra)
        [token] = await rows(client.sigra, "sigra_tokens")

        stolen = [waiting.id.hex, str(waiting.id), bytes(token.digest).hex(), bytes(token.code_digest).hex()]
        assert [await spend(client.sigra, text) for text in stolen] == [None] * 4
        assert all(text not in post.messages[0].text for text in stolen)


async def test_what_was_given_up_a_month_ago_is_deleted(database: str) -> None:
    clock = FrozenClock()
    async with running(database, [Bell(), Moody(Undeliverable("no"), Undeliverable("no"))], clock=clock) as client:
        await send(client.sigra, Message("chime", "ada@example.com"))
        await client.sigra.worker.work()
        clock.tick(DEAD_FOR)
        await send(client.sigra, Message("chime", "eve@example.com"))
        await client.sigra.worker.work()
        left = [row.recipient for row in await rows(client.sigra)]

    assert left == ["eve@example.com"]

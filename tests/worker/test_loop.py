"""The worker beside the requests: woken by what they leave, waiting for what is away, ending with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from sigra import Message, RenderedMessage, Sigra, hookimpl
from sigra.testing import Client, FrozenClock, cheap_settings, create_tables
from sigra.worker.loop import HANDS
from tests.apps import Postbox, application, running
from tests.mailing import Bell, ask, is_empty, ring, rows, send, until


class Gate(Postbox):
    """Takes a message when it is opened, and says that one has come."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.come, self.full = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.inside = self.most = 0

    @hookimpl
    async def send_message(self, message: RenderedMessage) -> bool:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.come.set()
        if self.inside == HANDS:
            self.full.set()
        await self.open.wait()
        self.inside -= 1
        self.messages.append(message)
        return True


@asynccontextmanager
async def working(database: str, *plugins: Any) -> AsyncIterator[Sigra]:
    """An application, served once, so that its worker has begun."""
    async with running(database, [Bell(), *plugins], worker=True) as client:
        await client.get("/")
        yield client.sigra


async def within(seconds: float, event: asyncio.Event) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()


async def test_what_a_request_leaves_is_done_at_once_and_without_a_life_span(database: str) -> None:
    gate = Gate()
    gate.open.set()
    async with working(database, gate) as auth:
        await ask(auth)
        # Half of what it would wait by itself.
        await within(2.5, gate.come)

    assert gate.kinds == ["ring"]


async def test_it_does_not_begin_where_it_is_switched_off() -> None:
    gate = Gate()
    async with running("sqlite:///:memory:", [Bell(), gate]) as client:
        await client.get("/")
        await ask(client.sigra)

        assert client.sigra._background._tasks == set()


async def test_no_more_are_sent_at_once_than_it_has_hands() -> None:
    gate = Gate()
    async with working("sqlite:///:memory:", gate) as auth:
        for number in range(3 * HANDS):
            await send(auth, Message("chime", f"{number}@example.com"))
        await within(2.5, gate.full)
        claimed = [row.tries for row in await rows(auth)].count(1)
        gate.open.set()
        await until(partial(is_empty, auth))

    assert (gate.most, claimed) == (HANDS, HANDS)


async def test_one_that_hangs_holds_nobody_up() -> None:
    class Hanging(Gate):
        @hookimpl
        async def send_message(self, message: RenderedMessage) -> bool:
            if message.recipient == "hangs@example.com":
                await end.wait()
            return await super().send_message(message)

    gate, end = Hanging(), asyncio.Event()
    gate.open.set()
    async with working("sqlite:///:memory:", gate) as auth:
        await send(auth, Message("chime", "hangs@example.com"))
        for number in range(2 * HANDS):
            await send(auth, Message("chime", f"{number}@example.com"))

        async def one_is_left() -> bool:
            return [row.recipient for row in await rows(auth)] == ["hangs@example.com"]

        await until(one_is_left)
        end.set()

    assert len(gate.messages) == 2 * HANDS + 1


async def test_idle_it_asks_one_question_a_look(database: str) -> None:
    statements: list[str] = []
    async with running(database, [Bell(), Postbox()]) as client:
        worker, desk = client.sigra.worker, client.sigra.worker._desks.get()
        await worker.work()
        await worker._look(desk)

        def count(*told: Any) -> None:
            if told[2] != "BEGIN":  # SQLite's driver is told by a statement
                statements.append(told[2])

        event.listen(client.sigra.db._engine.sync_engine, "before_cursor_execute", count)
        for _ in range(3):
            await worker._look(desk)

    assert len(statements) == 3
    assert all(statement.startswith("SELECT sigra_outbox") for statement in statements)


# Failure


async def test_hc45_a_database_that_is_away_is_waited_for_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    gate.open.set()
    async with working("sqlite:///:memory:", gate) as auth:
        await ask(auth)
        await until(partial(is_empty, auth))
        gate.come.clear()
        dialect = auth.db._engine.sync_engine.dialect
        real, tried = dialect.do_execute, asyncio.Semaphore(0)

        def cut(*_: Any) -> None:
            tried.release()
            raise ConnectionResetError("the cable is cut")

        monkeypatch.setattr(dialect, "do_execute", cut)
        for _ in range(5):
            auth.worker.wake()
            async with asyncio.timeout(2.5):
                await tried.acquire()
        monkeypatch.setattr(dialect, "do_execute", real)
        await ask(auth)
        await within(2.5, gate.come)

    lines = [record.getMessage() for record in caplog.records if record.name == "sigra.worker"]
    assert gate.kinds == ["ring", "ring"]
    assert [line.partition(":")[0] for line in lines] == ["later work waits", "later work goes on"]
    assert all(record.exc_info is None for record in caplog.records)


async def test_hc45_whatever_goes_wrong_in_a_look_there_is_a_next_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    gate.open.set()
    async with working("sqlite:///:memory:", gate) as auth:
        real, tried = auth.outbox.due, asyncio.Event()

        async def bug(*_: Any) -> Any:
            tried.set()
            raise ZeroDivisionError

        monkeypatch.setattr(auth.outbox, "due", bug)
        auth.worker.wake()
        await within(2.5, tried)
        monkeypatch.setattr(auth.outbox, "due", real)
        await ask(auth)
        await asyncio.wait({asyncio.ensure_future(gate.come.wait())}, timeout=2.5)

    assert gate.kinds == ["ring"]
    assert "ZeroDivisionError" in caplog.text


# The end


async def test_the_end_waits_for_what_is_under_way(database: str) -> None:
    gate = Gate()
    async with working(database, gate) as auth:
        await ask(auth)
        await within(2.5, gate.come)
        ending = asyncio.create_task(auth.aclose())
        await asyncio.sleep(0)
        gate.open.set()
        await ending

        assert gate.kinds == ["ring"]
        assert await rows(auth) == []


async def test_hc46_what_is_cut_off_at_the_end_comes_back_when_its_lease_has_ended(database: str) -> None:
    from sigra.mail.outbox import LEASE

    gate, post, clock = Gate(), Postbox(), FrozenClock()
    async with running(database, [Bell(), gate], clock=clock, worker=True) as client:
        await client.get("/")
        await ask(client.sigra)
        await within(2.5, gate.come)
        client.sigra.worker.stop()
        await client.sigra._background.drain(patience=0)
        [left] = await rows(client.sigra)
    clock.tick(LEASE)
    async with running(database, [Bell(), post], clock=clock) as client:
        await client.sigra.worker.work()

    assert (left.tries, left.dead_at) == (1, None)
    assert (gate.kinds, post.kinds) == ([], ["ring"])


async def test_told_to_end_it_begins_nothing_more(database: str) -> None:
    async with running(database, [Bell(), Postbox()]) as client:
        await ask(client.sigra)
        client.sigra.worker.stop()
        await client.sigra.worker._look(client.sigra.worker._desks.get())
        [row] = await rows(client.sigra)

    assert row.tries == 0


async def test_it_begins_again_after_an_end(database: str) -> None:
    gate = Gate()
    gate.open.set()
    async with running(database, [Bell(), gate], worker=True) as client:
        await client.get("/")
        await client.sigra.aclose()
        await client.get("/")
        await ask(client.sigra)
        await within(2.5, gate.come)

    assert gate.kinds == ["ring"]


async def test_it_begins_again_whatever_ended_it() -> None:
    gate = Gate()
    gate.open.set()
    async with running("sqlite:///:memory:", [Bell(), gate], worker=True) as client:
        await client.get("/")
        client.sigra.worker.stop()
        await client.sigra._background.drain()
        await client.get("/")
        await ask(client.sigra)
        await within(2.5, gate.come)

    assert gate.kinds == ["ring"]


@pytest.mark.databases("sqlite")
def test_it_begins_on_every_event_loop(database: str) -> None:
    post = Postbox()
    auth = Sigra(cheap_settings(database, worker=True), [Bell(), post], clock=FrozenClock())
    app = auth.wrap(application)

    async def serve() -> int:
        if not post.messages:
            await create_tables(auth)
        async with Client(app, auth) as client:
            await client.get("/")
            await send(auth, ring("ada@example.com"))
            await until(partial(is_empty, auth))
        await auth.aclose()
        return len(post.messages)

    assert [asyncio.run(serve()), asyncio.run(serve())] == [1, 2]


@pytest.mark.databases("sqlite")
def test_it_begins_on_another_loop_than_that_of_a_life_span_that_was_cut_off(database: str) -> None:
    post = Postbox()
    auth = Sigra(cheap_settings(database, worker=True), [Bell(), post], clock=FrozenClock())
    app = auth.wrap(without_life_span)

    async def cut_off() -> None:
        await create_tables(auth)
        await begin_life_span(app)
        auth.worker.stop()
        await auth._background.drain()
        await auth.db.aclose()

    async def serve() -> None:
        async with Client(app, auth) as client:
            await client.get("/")
            await send(auth, ring("ada@example.com"))
            await until(partial(is_empty, auth))
        await auth.aclose()

    asyncio.run(cut_off())
    asyncio.run(serve())

    assert post.kinds == ["ring"]


async def without_life_span(scope: Scope, receive: Receive, send: Send) -> None:
    """An application like Django's."""
    if scope["type"] == "lifespan":
        raise ValueError(scope["type"])
    await application(scope, receive, send)


async def begin_life_span(app: ASGIApp) -> None:
    """Begin a life span that is cut off when it has begun."""
    begun = asyncio.Event()
    opening: asyncio.Queue[ASGIMessage] = asyncio.Queue()
    opening.put_nowait({"type": "lifespan.startup"})

    async def send(message: ASGIMessage) -> None:
        assert message["type"] == "lifespan.startup.complete"
        begun.set()

    span = asyncio.ensure_future(app({"type": "lifespan", "asgi": {}, "state": {}}, opening.get, send))
    await begun.wait()
    span.cancel()
    await asyncio.wait({span})


async def test_a_row_that_cannot_even_be_postponed_waits_for_its_lease(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sigra.worker")
    async with running("sqlite:///:memory:", [Bell(), Postbox()]) as client:
        auth = client.sigra
        await send(auth, Message("chime", "ada@example.com"))
        real = auth.db.transaction

        async def cut(fn: Any) -> Any:
            from sigra.errors import Unavailable

            if getattr(fn, "func", None) in (auth.outbox.done, auth.outbox.postpone):
                raise Unavailable
            return await real(fn)

        monkeypatch.setattr(auth.db, "transaction", cut)
        await auth.worker.work()
        [row] = await rows(auth)

    assert (row.tries, row.problem) == (1, None)
    assert "waits for its lease to end" in caplog.text

"""Periodic jobs: by one worker at a time, batch by batch, and one that fails stops nobody."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert

from sigra import ConfigurationError, Job, Message, Sigra, hookimpl
from sigra.db.batches import BATCH
from sigra.testing import FrozenClock, cheap_settings, make_user
from sigra.worker.jobs import TURN
from tests.apps import Postbox, running
from tests.mailing import Bell, is_empty, rows, send, until
from tests.policies import Factor

HOUR = timedelta(hours=1)


@dataclass
class Chores:
    """A plugin with one job of some batches."""

    batches: int = 1
    name: str = "chores"
    api: int = 1
    every: timedelta = HOUR
    job: str = "chores"
    done: list[str] = field(default_factory=list)
    before: Callable[[], Awaitable[object]] | None = None

    @hookimpl
    def register_jobs(self) -> Sequence[Job]:
        return [Job(self.job, self.every, self.run)]

    async def run(self) -> bool:
        if self.before is not None:
            await self.before()
        self.done.append("batch")
        return len(self.done) % self.batches != 0


async def test_a_job_is_due_at_once_and_then_now_and_again(database: str) -> None:
    chores, clock = Chores(), FrozenClock()
    async with running(database, [chores], clock=clock, jobs_due=True) as client:
        counts = []
        for wait in (timedelta(0), HOUR - timedelta(seconds=1), timedelta(seconds=1)):
            clock.tick(wait)
            await client.sigra.worker.work()
            await client.sigra.worker.work()
            counts.append(len(chores.done))

    assert counts == [1, 1, 2]


async def test_a_job_goes_on_until_nothing_is_left(database: str) -> None:
    chores = Chores(batches=3)
    async with running(database, [chores], jobs_due=True) as client:
        await client.sigra.worker.work()

    assert len(chores.done) == 3


async def test_hc46_of_workers_at_once_one_does_a_job(database: str) -> None:
    chores = Chores()
    async with running(database, [chores], clock=FrozenClock(), jobs_due=True) as client:
        others = [Sigra(cheap_settings(database), [chores], clock=FrozenClock()) for _ in range(3)]
        await asyncio.gather(*(auth.worker.work() for auth in (client.sigra, *others)))
        for auth in others:
            await auth.aclose()

    assert len(chores.done) == 1


async def test_a_job_is_nobody_elses_between_its_batches(database: str) -> None:
    clock, chores = FrozenClock(), Chores(batches=3)
    async with running(database, [chores], clock=clock, jobs_due=True) as client:
        other = Sigra(cheap_settings(database), [Chores(batches=3, done=chores.done)], clock=clock)

        async def meddle() -> None:
            clock.tick(TURN - timedelta(seconds=1))
            await other.worker.work()

        chores.before = meddle
        await client.sigra.worker.work()
        await other.aclose()

    assert len(chores.done) == 3


async def test_hc46_a_worker_that_lost_its_turn_stops(database: str) -> None:
    clock, chores = FrozenClock(), Chores(batches=100)
    async with running(database, [chores], clock=clock, jobs_due=True) as client:
        other = Sigra(cheap_settings(database), [Chores(done=chores.done)], clock=clock)

        async def linger() -> None:
            clock.tick(TURN)
            await other.worker.work()

        chores.before = linger
        await client.sigra.worker.work()
        [due_at] = [row.due_at for row in await rows(client.sigra, "sigra_jobs") if row.name == "chores"]
        await other.aclose()

    assert len(chores.done) == 2
    assert due_at == clock() + HOUR


async def test_hc47_a_job_that_fails_is_told_and_tried_again_and_stops_nobody(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ValueError

    clock, post, failing = FrozenClock(), Postbox(), Chores(before=fail)
    other = Chores(name="others", job="others")
    async with running(database, [failing, other, Bell(), post], clock=clock, jobs_due=True) as client:
        await send(client.sigra, Message("chime", "ada@example.com"))
        with suppress(ValueError):  # what comes out is told by what was not done
            await client.sigra.worker.work()
        before, others = list(failing.done), (list(other.done), list(post.kinds))
        failing.before = None
        await client.sigra.worker.work()
        too_soon = list(failing.done)
        clock.tick(TURN)
        await client.sigra.worker.work()

    assert (before, too_soon, failing.done) == ([], [], ["batch"])
    assert others == (["batch"], ["chime"])
    assert "job chores failed" in caplog.text and "ValueError" in caplog.text


async def test_a_job_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("sigra.worker.jobs.BATCH_LIMIT", 0.05)
    chores = Chores(before=asyncio.Event().wait)
    async with running("sqlite:///:memory:", [chores], jobs_due=True) as client:
        await client.sigra.worker.work()

    assert chores.done == []
    assert "TimeoutError" in caplog.text


async def test_jobs_are_done_beside_the_requests() -> None:
    done = asyncio.Event()

    async def tell() -> None:
        done.set()

    async with running("sqlite:///:memory:", [Chores(before=tell)], worker=True, jobs_due=True) as client:
        await client.get("/")
        async with asyncio.timeout(2.5):
            await done.wait()


async def test_mail_does_not_wait_for_a_long_job() -> None:
    post, sent = Postbox(), asyncio.Event()
    async with running(
        "sqlite:///:memory:", [Chores(before=sent.wait), Bell(), post], worker=True, jobs_due=True
    ) as client:
        await client.get("/")
        await send(client.sigra, Message("chime", "ada@example.com"))
        await until(partial(is_empty, client.sigra))
        sent.set()

    assert post.kinds == ["chime"]


# What is refused at start


def refusal(*plugins: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        Sigra(cheap_settings(), list(plugins))
    return refused.value.detail


def test_hc48_two_plugins_with_one_job_are_named() -> None:
    told = refusal(Chores(), Chores(name="others"))

    assert told.startswith("Two bring the job chores: plugin chores and plugin others.")
    assert "-others" in told


def test_hc48_a_plugin_with_a_job_of_the_core_is_named() -> None:
    assert refusal(Chores(job="tokens")).startswith("Two bring the job tokens: the core and plugin chores.")


@pytest.mark.parametrize("wrong", [{"every": timedelta(0)}, {"job": "j" * 65}])
def test_a_job_that_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    assert "Plugin chores brings the job" in refusal(Chores(**wrong))


# The core's own


async def test_what_has_expired_is_deleted_and_nothing_else(database: str) -> None:
    clock = FrozenClock()
    async with running(database, ["defaults", Factor()], clock=clock, jobs_due=True) as client:
        auth = client.sigra
        user = await make_user(auth)

        async def issue(lifetime: timedelta, subject: str) -> str:
            return await auth.db.transaction(
                lambda tx: auth.tokens.issue(tx, "bell", None, {}, lifetime, subject=subject)
            )

        await client.sign_in(user)
        await issue(HOUR, "short")
        await issue(3 * HOUR, "long")
        clock.tick(2 * HOUR)
        waiting = (await client.sign_in(user)).json()["login_token"]
        await auth.worker.work()
        left = [row.subject for row in await rows(auth, "sigra_tokens") if row.purpose == "bell"]
        pending = await rows(auth, "sigra_pending_sign_ins")
        again = await client.post("/auth/login/factor", json={"code": "right", "login_token": waiting})

    assert left == ["long"]
    assert len(pending) == 1
    assert again.status_code == 200


async def test_what_has_expired_is_deleted_in_batches(database: str) -> None:
    clock = FrozenClock()
    async with running(database, [Bell()], clock=clock, jobs_due=True) as client:
        auth = client.sigra
        table = auth.metadata.tables["sigra_tokens"]
        several = [
            {
                "id": uuid.uuid4(),
                "purpose": "bell",
                "digest": uuid.uuid4().bytes * 2,
                "code_tries": 0,
                "payload": {},
                "created_at": clock(),
                "expires_at": clock(),
            }
            for _ in range(BATCH + 1)
        ]
        await auth.db.transaction(lambda tx: tx.execute(insert(table), several))
        first = await auth.db.transaction(auth.tokens.sweep)
        left = len(await rows(auth, "sigra_tokens"))
        await auth.worker.work()

        assert (first, left) == (True, 1)
        assert await rows(auth, "sigra_tokens") == []

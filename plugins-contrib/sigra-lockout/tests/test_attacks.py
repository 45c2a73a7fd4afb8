"""What nobody learns from a lock, and that no race, failure or death of a worker gives away a try."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sigra import Event, InvalidCredentials, Refused, Sigra, hookimpl
from sigra.plugins.password import Password
from sigra.testing import PASSWORD, Client, FrozenClock, cheap_settings, create_tables, make_user
from sigra_lockout import Lockout
from tests.apps import Postbox, application, running
from tests.crypto.test_foreign import BUDGETS, DJANGO, work
from tests.plugins.answers import Answers
from tests.test_failing_database import Cable
from tests.test_times import PAIRS, VISIBLE

__all__ = ["work"]

RACERS = Path(__file__).with_name("racers.py")
ROOT = Path(__file__).parents[3]
PLUGINS = ["defaults", "lockout"]
WRONG = "not the password"


async def counted(auth: Sigra) -> int:
    """How many tries are kept, of the one subject that there is; none when there is none."""
    async with auth.db.connect() as tx:
        return await tx.scalar(select(auth.metadata.tables["sigra_lockout"].c.failures)) or 0


# What nobody learns


async def test_hc39_every_account_is_locked_alike_from_the_first_try_to_beyond(
    crowd: Any, database: str, work: Counter[str]
) -> None:
    password = {"memory_kib": 8, "time": 1, "foreign_hashes": ["django", "passlib"], "foreign_costs": BUDGETS}
    seen = []
    async with running(database, [*PLUGINS, Postbox()], password=password) as client:
        auth = client.sigra
        await make_user(auth, "known@example.com")
        await make_user(auth, "unproven@example.com", email_verified=False)
        await make_user(auth, "keyless@example.com", None)
        legacy = await make_user(auth, "legacy@example.com", None)
        await auth.db.transaction(lambda tx: auth.plugin(Password).set(auth, tx, legacy, DJANGO["pbkdf2_sha256"]))
        for status in ("disabled", "closing"):
            user = await make_user(auth, f"{status}@example.com")
            await auth.db.transaction(lambda tx, user=user, to=status: auth.users.set_status(tx, user, to))
        for number in range(8):
            # What is right is tried where it no longer counts.
            tried, answers, costs = PASSWORD if number >= 5 else WRONG, Answers(auth), []
            for name in ("unknown", "known", "unproven", "keyless", "legacy", "disabled", "closing"):
                work.clear()
                await answers.add(await crowd(client).guess(f"{name}@example.com", tried))
                costs.append(dict(work))
            seen.append((answers.first.status, answers.differing, costs.count(costs[0])))
        waiting = await crowd(client).rows("sigra_outbox")

    assert seen == [(401, [], 7)] * 8
    assert waiting == 7


@pytest.mark.parametrize("path", ["magic-link", "password/forgot", "email/verify/resend"])
async def test_hc39_a_lock_changes_no_answer_to_who_asks_for_a_mail(crowd: Any, database: str, path: str) -> None:
    async with running(database, [*PLUGINS, Postbox()]) as client:
        await make_user(client.sigra)
        await crowd(client).lock()
        answers = Answers(client.sigra)
        for name in ("ada", "eve"):
            await answers.add(
                await crowd(client).browser().post(f"/auth/{path}", json={"email": f"{name}@example.com"})
            )

    assert answers.first.status == 202
    assert answers.differing == []


async def test_hc39_a_locked_page_is_the_page_of_a_wrong_password(crowd: Any, database: str) -> None:
    async with running(database, PLUGINS) as client:
        await make_user(client.sigra)
        answers = Answers(client.sigra)
        for number in range(7):
            body = {"email": "ada@example.com", "password": PASSWORD if number > 4 else WRONG}
            answer = await crowd(client).browser().post("/auth/login", data=body, headers={"accept": "text/html"})
            answers._sent.clear()  # the fifth tells, and the sixth writes nothing: of unknown ones, too
            await answers.add(answer)

    assert answers.first.status == 401
    assert answers.differing == []


@pytest.mark.soak
@pytest.mark.databases("sqlite", "postgresql")
async def test_hc39_a_locked_account_is_not_told_by_the_time_of_an_answer(crowd: Any, database: str) -> None:
    """To the right password, of which one account knows, and the other does not exist."""
    taken: dict[str, list[float]] = {"ada@example.com": [], "eve@example.com": []}
    async with running(database, [*PLUGINS, Postbox()]) as client:
        await make_user(client.sigra, "ada@example.com")
        for email in taken:
            await crowd(client).lock(email)
        for _ in range(PAIRS):
            for email in random.sample(sorted(taken), 2):
                begun = time.perf_counter()
                await client.post("/auth/login", json={"email": email, "password": PASSWORD})
                taken[email].append((time.perf_counter() - begun) * 1000)
    known, unknown = (statistics.median(times[20:]) for times in taken.values())

    print(f"locked: {known - unknown:+.3f} ms")
    assert abs(known - unknown) < VISIBLE


# Races


class Gate:
    """Counts the tries that a lock lets pass, to be looked at where the machine has the time."""

    name, api = "gate", 1

    def __init__(self) -> None:
        self.passed = 0

    @hookimpl(trylast=True)
    async def before_attempt(self) -> None:
        self.passed += 1


@asynccontextmanager
async def filled(database: str, *plugins: Any) -> AsyncIterator[Client]:
    settings = cheap_settings(database, password={"memory_kib": 8, "time": 1, "queue": 1000})
    async with Sigra(settings, [*PLUGINS, *plugins], clock=FrozenClock()) as auth:
        await create_tables(auth)
        async with Client(auth.wrap(application), auth) as client:
            yield client


async def test_hc42_of_200_at_once_exactly_five_are_looked_at(
    crowd: Any, database: str, looked_at: Counter[str]
) -> None:
    gate = Gate()
    async with filled(database, gate) as client:
        stored = await crowd(client).hash_of(await make_user(client.sigra))
        answers = await asyncio.gather(*(crowd(client).guess(number=number) for number in range(200)))

    # On a busy machine some of so many are told to come back, where they wait for the database.
    assert {answer.status_code for answer in answers} <= {401, 503}
    assert gate.passed == 5
    assert 0 < looked_at[stored] <= 5


async def test_hc42_of_200_at_once_on_the_fifth_exactly_one_is_looked_at(
    crowd: Any, database: str, looked_at: Counter[str]
) -> None:
    gate = Gate()
    async with filled(database, gate) as client:
        stored = await crowd(client).hash_of(await make_user(client.sigra))
        for _ in range(4):
            await crowd(client).guess()
        await asyncio.gather(*(crowd(client).guess(number=number) for number in range(200)))

    assert gate.passed == 5
    assert 4 <= looked_at[stored] <= 5


async def test_hc42_of_200_at_once_by_two_processes_exactly_five_are_looked_at(crowd: Any, database: str) -> None:
    async with filled(database) as client:
        stored = await crowd(client).hash_of(await make_user(client.sigra))
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, str(RACERS), "race", database)
    racers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        await racer.stdout.readline()
    said = await asyncio.gather(*(racer.communicate(b"\n") for racer in racers))

    passed = [json.loads(out) for out, _ in said]

    assert sum(one["passed"] for one in passed) == 5
    assert 0 < sum(one.get(stored, 0) for one in passed) <= 5


async def test_hc42_one_lock_is_told_once_however_many_are_wrong_at_once(crowd: Any, database: str) -> None:
    box = Postbox()
    async with running(database, [*PLUGINS, box]) as client:
        await make_user(client.sigra)
        await asyncio.gather(*(crowd(client).guess(number=number) for number in range(30)))
        await client.sigra.worker.work()

    assert box.kinds == ["account_locked"]


# Failures


async def test_hc45_no_proof_is_looked_at_that_is_not_counted(
    crowd: Any, database: str, looked_at: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away at each statement in turn, before and after it has done what it was told."""
    cable = Cable()
    async with running(database, ["defaults", Lockout(failures=100)]) as client:
        stored = await crowd(client).hash_of(await make_user(client.sigra))
        cable.lay(client, monkeypatch)
        await crowd(client).guess()
        length = len(cable.told)
        statuses: Counter[int] = Counter()
        for late in (False, True):
            for at in range(length):
                cable.cut(at, late=late)
                statuses[(await crowd(client).guess()).status_code] += 1
                cable.mend()
                assert looked_at[stored] <= await counted(client.sigra)

    assert set(statuses) <= {401, 503}
    assert statuses[503] > length


async def test_hc46_a_worker_killed_between_count_and_check_has_used_up_the_try(crowd: Any, database: str) -> None:
    async with filled(database) as client:
        await make_user(client.sigra)
        for _ in range(4):
            await crowd(client).guess()
        killed = await asyncio.create_subprocess_exec(sys.executable, str(RACERS), "die", database, cwd=ROOT)
        died = await killed.wait()
        used = await counted(client.sigra)
        answer = await crowd(client).guess(password=PASSWORD)

    assert died == -signal.SIGKILL
    assert used == 5
    assert answer.status_code == 401


@dataclass
class Illegible:
    """Cannot write down that an account was locked."""

    broken: bool = True
    name: str = "illegible"
    api: int = 1

    @hookimpl
    async def record_event(self, event: Event) -> None:
        if self.broken and event.name == "lockout.locked":
            raise OSError("disk full")


async def test_hc47_a_lock_that_cannot_be_recorded_holds_and_is_told_later(crowd: Any, database: str) -> None:
    illegible, box = Illegible(), Postbox()
    async with running(database, [*PLUGINS, illegible, box]) as client:
        await make_user(client.sigra)
        answers = [await crowd(client).guess() for _ in range(5)]
        right = await crowd(client).guess(password=PASSWORD)
        unheard = await crowd(client).rows("sigra_outbox")
        illegible.broken = False
        await crowd(client).guess()
        await client.sigra.worker.work()

    assert [answer.status_code for answer in answers] == [401] * 4 + [503]
    assert right.status_code == 503
    assert unheard == 0
    assert box.kinds == ["account_locked"]


@dataclass
class Neighbour:
    """Another plugin that looks at attempts."""

    raises: type[Exception] | None
    name: str = "neighbour"
    api: int = 1

    @hookimpl
    async def before_attempt(self) -> None:
        if self.raises is not None:
            raise self.raises()


@pytest.mark.parametrize("raised", [None, InvalidCredentials, Refused, OSError])
async def test_hc48_the_place_of_another_plugin_decides_nothing(
    crowd: Any, database: str, looked_at: Counter[str], raised: type[Exception] | None
) -> None:
    seen = []
    for plugins in ([*PLUGINS, Neighbour(raised)], [Neighbour(raised), *PLUGINS]):
        looked_at.clear()
        async with running("sqlite:///:memory:", plugins) as client:
            stored = await crowd(client).hash_of(await make_user(client.sigra))
            answers = [await crowd(client).guess() for _ in range(6)]
            answers.append(await crowd(client).guess(password=PASSWORD))
            seen.append((looked_at[stored], {answer.status_code for answer in answers}))

    assert [number for number, _ in seen] == [5 if raised is None else 0] * 2
    assert all(200 not in statuses for _, statuses in seen)


# The way back


async def test_hc40_guesses_during_a_lock_leave_the_owner_their_tries_at_its_end(crowd: Any, database: str) -> None:
    postbox = Postbox()
    async with running(database, [*PLUGINS, postbox], limits={"rules": {"sign_in_account": "10/hour"}}) as client:
        await make_user(client.sigra)
        others = [(await crowd(client).guess(number=number)).status_code for number in range(17)]
        await client.sigra.worker.work()
        owner = crowd(client).browser(999)
        unlocked = await owner.post("/auth/unlock", json={"token": postbox.token()})
        answer = await owner.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})

    assert others == [401] * 17
    assert (unlocked.status_code, answer.status_code) == (204, 200)

"""Keys are rotated while sessions, pending sign-ins and API keys are under way: all go on until their key retires."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from sigra.testing import PASSWORD, Client, make_api_key, make_user
from tests.apps import Postbox, running
from tests.policies import Factor

OLD, NEW = "the-old-key-of-the-ring-with-enough-in-it", "the-new-key-of-the-ring-with-enough-in-it"


async def under_way(database: str) -> dict[str, Any]:
    """A session, a pending sign-in and a key, made under the old key alone."""
    async with running(database, ["defaults", Factor()], secret_keys=[OLD]) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        token = (await client.sign_in(user)).json()["login_token"]
        await client.post("/auth/login/factor", json={"code": "right"})
        session = client.cookies["sigra"]
        waiting = (await Client(client.app, client.sigra).sign_in(user)).json()["login_token"]
    assert token != waiting
    return {"session": session, "waiting": waiting, "key": key}


async def accepted(client: Client, held: dict[str, Any]) -> list[int]:
    """How each is answered."""
    finishing = {"code": "right", "login_token": held["waiting"]}
    answers = [
        await client.get("/private", headers={"cookie": f"sigra={held['session']}"}),
        await client.get("/private", headers={"authorization": f"Bearer {held['key']}"}),
        await client.post("/auth/login/factor", json=finishing),
    ]
    return [answer.status_code for answer in answers]


async def test_hc23_what_is_under_way_goes_on_while_its_key_is_in_the_ring(database: str) -> None:
    held = await under_way(database)
    async with running(database, ["defaults", Factor()], secret_keys=[NEW, OLD]) as client:
        answers = await accepted(client, held)

    assert answers == [200, 200, 200]


async def test_hc23_what_is_under_way_ends_when_its_key_retires(database: str) -> None:
    held = await under_way(database)
    async with running(database, ["defaults", Factor()], secret_keys=[NEW]) as client:
        answers = await accepted(client, held)

    assert answers == [401, 401, 401]


async def test_hc23_what_is_renewed_after_a_rotation_outlives_the_old_key(database: str) -> None:
    held = await under_way(database)
    async with running(database, ["defaults", Factor()], secret_keys=[NEW, OLD]) as client:
        await client.post("/auth/login/factor", json={"code": "right", "login_token": held["waiting"]})
        session = client.cookies["sigra"]
    async with running(database, ["defaults", Factor()], secret_keys=[NEW]) as client:
        answer = await client.get("/private", headers={"cookie": f"sigra={session}"})

    assert answer.status_code == 200


# With requests in flight: two workers, restarted one after the other


class Fleet:
    """Two workers on one database, each with a ring of its own; who comes in is served by either in turn."""

    def __init__(self, database: str, box: Postbox, stack: AsyncExitStack) -> None:
        self._database, self._box, self._stack = database, box, stack
        self.workers: list[Client] = []
        self._turn = 0

    async def start(self, *rings: list[str]) -> None:
        self.workers = [await self._worker(ring) for ring in rings]

    async def restart(self, place: int, ring: list[str]) -> None:
        """Another in its place; what the old one is at is answered by it."""
        self.workers[place] = await self._worker(ring)

    async def request(self, method: str, path: str, **options: Any) -> int:
        self._turn += 1
        worker = self.workers[self._turn % 2]
        stranger = Client(worker.app, worker.sigra, raises=False)
        return int((await stranger.request(method, path, **options)).status_code)

    async def _worker(self, ring: list[str]) -> Client:
        plugins = ["defaults", self._box, Factor()]
        return await self._stack.enter_async_context(running(self._database, plugins, secret_keys=ring))


@asynccontextmanager
async def fleet(database: str, box: Postbox) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(database, box, stack)


class Traffic:
    """Comes and comes, in some tasks at once, until it is told to stop."""

    def __init__(self, fleet: Fleet, held: dict[str, Any]) -> None:
        self._fleet, self._held, self._going = fleet, held, True
        self.answers: Counter[int] = Counter()

    async def go(self) -> None:
        while self._going:
            self.answers[await self._fleet.request("GET", "/private", **self._credential())] += 1

    def _credential(self) -> dict[str, Any]:
        if self.answers.total() % 2:
            return {"headers": {"authorization": f"Bearer {self._held['key']}"}}
        return {"headers": {"cookie": f"sigra={self._held['session']}"}}

    async def more(self, count: int = 20) -> None:
        """Let so many more be answered."""
        enough = self.answers.total() + count
        async with asyncio.timeout(30):
            while self.answers.total() < enough:  # noqa: ASYNC110  (what is waited for is told by nobody)
                await asyncio.sleep(0)

    def stop(self) -> None:
        self._going = False


async def test_hc23_the_ring_changes_under_traffic_and_loses_nothing_until_the_old_key_retires(database: str) -> None:
    box = Postbox()
    async with fleet(database, box) as workers:
        await workers.start([OLD], [OLD])
        held = await under_way(database)
        first = workers.workers[0]
        await make_user(first.sigra, "bob@example.com")
        await Client(first.app, first.sigra).post("/auth/password/forgot", json={"email": "bob@example.com"})
        await first.sigra.worker.work()
        traffic = Traffic(workers, held)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(traffic.go())
            # Known everywhere before anybody uses it, then used, then alone.
            for ring in ([OLD, NEW], [NEW, OLD]):
                for place in (0, 1):
                    await workers.restart(place, ring)
                    await traffic.more()
            meanwhile = Counter(traffic.answers)
            finished = await workers.request(
                "POST", "/auth/login/factor", json={"code": "right", "login_token": held["waiting"]}
            )
            body = {"email": "ada@example.com", "password": PASSWORD}
            waiting = (await Client(first.app, first.sigra).post("/auth/login", json=body)).json()["login_token"]
            for place in (0, 1):
                await workers.restart(place, [NEW])
            traffic.answers.clear()
            await traffic.more()
            traffic.stop()
        late = await workers.request("POST", "/auth/login/factor", json={"code": "right", "login_token": waiting})
        reset = {"token": box.token(), "new_password": "a train of thought leaves at nine"}
        mailed = await workers.request("POST", "/auth/password/reset", json=reset)

    assert set(meanwhile) == {200} and meanwhile.total() >= 80
    assert finished == 200
    assert set(traffic.answers) <= {200, 401} and traffic.answers[401] >= 20 - 4
    assert (late, mailed) == (401, 400)


async def test_hc23_one_ring_after_the_other_takes_what_either_made(database: str) -> None:
    """Half way through a restart, what the one worker makes is good at the other."""
    box, found = Postbox(), []
    async with fleet(database, box) as workers:
        for one, other in ([[OLD], [OLD, NEW]], [[OLD, NEW], [NEW, OLD]], [[NEW, OLD], [NEW]]):
            await workers.start(one, other)
            user = await workers.workers[0].sigra.users.by_email("ada@example.com")
            user = user or await make_user(workers.workers[0].sigra)
            for maker, taker in ((0, 1), (1, 0)):
                key = await make_api_key(workers.workers[maker].sigra, user)
                bearer = {"authorization": f"Bearer {key}"}
                found.append((await workers.workers[taker].get("/private", headers=bearer)).status_code)

    assert found == [200] * 6

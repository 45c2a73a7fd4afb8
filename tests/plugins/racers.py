"""Two processes that post the same at the same instant, each through a Sigra of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any, Self

from sigra import Sigra
from sigra.testing import Client, FrozenClock, cheap_settings
from tests.apps import application

PROCESSES = 2
TRIES = 32


async def post(url: str, path: str, body: dict[str, Any]) -> list[int]:
    """The statuses of many posts at once."""
    settings = cheap_settings(url, worker=False)
    async with Sigra(settings, clock=FrozenClock()) as auth:
        clients = [Client(auth.wrap(application), auth) for _ in range(TRIES)]
        answers = await asyncio.gather(*(client.post(path, json=body) for client in clients))
    return [answer.status_code for answer in answers]


def run(race: tuple[str, str, dict[str, Any]]) -> list[int]:
    together.wait()
    return asyncio.run(post(*race))


def meet(barrier: Barrier) -> None:
    global together  # noqa: PLW0603  a forked process has it to itself
    together = barrier


def main(url: str) -> None:
    """Import once, fork, and go through the races."""
    forked = get_context("fork")
    with forked.Pool(PROCESSES, meet, (forked.Barrier(PROCESSES),)) as pool:
        for line in sys.stdin:
            found = pool.map(run, [(url, *json.loads(line))] * PROCESSES, chunksize=1)
            print(json.dumps([status for statuses in found for status in statuses]), flush=True)


class Racers:
    """The processes, at a database whose tables are made."""

    def __init__(self, url: str) -> None:
        self._command = [sys.executable, "-m", "tests.plugins.racers", url]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
        return self

    async def post(self, path: str, body: dict[str, Any]) -> list[int]:
        """The statuses of all their posts."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps([path, body])}\n".encode())
        statuses: list[int] = json.loads(await self._process.stdout.readline())
        return statuses

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

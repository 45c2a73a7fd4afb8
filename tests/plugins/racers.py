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


async def post(
    url: str, plugins: list[str], path: str, bodies: list[dict[str, Any]], headers: dict[str, str]
) -> list[int]:
    """The statuses of many posts at once."""
    settings = cheap_settings(url, worker=False)
    async with Sigra(settings, plugins or None, clock=FrozenClock()) as auth:
        clients = [Client(auth.wrap(application), auth) for _ in bodies]
        posts = zip(clients, bodies, strict=True)
        answers = await asyncio.gather(*(client.post(path, json=body, headers=headers) for client, body in posts))
    return [answer.status_code for answer in answers]


def run(race: tuple[str, list[str], str, list[dict[str, Any]], dict[str, str]]) -> list[int]:
    together.wait()
    return asyncio.run(post(*race))


def meet(barrier: Barrier) -> None:
    global together  # noqa: PLW0603  a forked process has it to itself
    together = barrier


def main(url: str, *plugins: str) -> None:
    """Import once, fork, and go through the races."""
    forked = get_context("fork")
    with forked.Pool(PROCESSES, meet, (forked.Barrier(PROCESSES),)) as pool:
        for line in sys.stdin:
            path, bodies, headers = json.loads(line)
            shares = [(url, list(plugins), path, bodies[number::PROCESSES], headers) for number in range(PROCESSES)]
            found = pool.map(run, shares, chunksize=1)
            print(json.dumps([status for statuses in found for status in statuses]), flush=True)


class Racers:
    """The processes, at a database whose tables are made.

    Args:
        plugins: Their names; the built-in ones when none is given.
    """

    def __init__(self, url: str, *plugins: str) -> None:
        self._command = [sys.executable, "-m", "tests.plugins.racers", url, *plugins]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
        return self

    async def post(self, path: str, body: dict[str, Any] | list[dict[str, Any]], **headers: str) -> list[int]:
        """The statuses of all their posts: of one body, or of as many different ones."""
        bodies = body if isinstance(body, list) else [body] * (PROCESSES * TRIES)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps([path, bodies, headers])}\n".encode())
        statuses: list[int] = json.loads(await self._process.stdout.readline())
        return statuses

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

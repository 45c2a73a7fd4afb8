"""Two processes that come back from a provider at the same instant, each through a Sigra of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any, Self

import httpx2

from sigra import Sigra
from sigra.testing import Client, FrozenClock, cheap_settings
from tests.apps import application

PROCESSES = 2


def written(callback: httpx2.Request, client: Client) -> dict[str, Any]:
    """A callback of this client's, for another process to send."""
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return {
        "method": callback.method,
        "url": str(callback.url),
        "content": callback.read().decode(),
        "headers": {"cookie": cookies, "content-type": callback.headers.get("content-type", "")},
    }


async def sent(client: Client, request: dict[str, Any]) -> int:
    headers = {name: value for name, value in request["headers"].items() if value}
    response = await client.request(request["method"], request["url"], content=request["content"], headers=headers)
    return response.status_code


async def send(url: str, oauth: dict[str, Any], requests: Sequence[dict[str, Any]]) -> list[int]:
    """The statuses of many requests at once."""
    settings = cheap_settings(url, worker=False, oauth=oauth)
    async with Sigra(settings, ["defaults", "oauth"], clock=FrozenClock()) as auth:
        clients = [Client(auth.wrap(application), auth) for _ in requests]
        return list(await asyncio.gather(*map(sent, clients, requests)))


def run(race: tuple[str, dict[str, Any], Sequence[dict[str, Any]]]) -> list[int]:
    together.wait()
    return asyncio.run(send(*race))


def meet(barrier: Barrier) -> None:
    global together  # noqa: PLW0603  a forked process has it to itself
    together = barrier


def main(url: str, oauth: str) -> None:
    """Import once, fork, and go through the races."""
    forked = get_context("fork")
    with forked.Pool(PROCESSES, meet, (forked.Barrier(PROCESSES),)) as pool:
        for line in sys.stdin:
            requests = json.loads(line)
            shares = [(url, json.loads(oauth), requests[number::PROCESSES]) for number in range(PROCESSES)]
            found = pool.map(run, shares, chunksize=1)
            print(json.dumps([status for statuses in found for status in statuses]), flush=True)


class Racers:
    """The processes, at a database whose tables are made.

    Args:
        oauth: The section of that name.
    """

    def __init__(self, url: str, oauth: dict[str, Any]) -> None:
        self._command = [sys.executable, "-m", "tests.oauth.racers", url, json.dumps(oauth)]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
        return self

    async def race(self, requests: Sequence[dict[str, Any]]) -> list[int]:
        """The statuses of all of them, in no order."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps(requests)}\n".encode())
        statuses: list[int] = json.loads(await self._process.stdout.readline())
        return statuses

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

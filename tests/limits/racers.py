"""Many tries at once, in two processes: how many were let through."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sigra import Sigra, SigraError
from sigra.testing import cheap_settings

ROOT = Path(__file__).parent.parent.parent
TRIES = 100
"""By each process."""


async def count(auth: Sigra, client: str, account: str = "ada@example.com") -> str:
    try:
        await auth.limits.count("attempt", client=client)
        await auth.limits.count("proof", client=client, account=account)
    except SigraError as error:
        return error.code
    return "passed"


async def at_once(auth: Sigra, clients: str, tries: int) -> Counter[str]:
    """What came of as many tries at one instant.

    Args:
        clients: Their address, with `{}` where they differ by a number.
    """
    return Counter(await asyncio.gather(*(count(auth, clients.format(number)) for number in range(tries))))


async def race(database: str, store: str, rounds: Sequence[str]) -> list[Counter[str]]:
    """What came of the tries of two processes that begin at one instant, by round."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.limits.racers", database, store, *rounds)
    racers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(2)]
    await asyncio.gather(*(racer.stdout.readline() for racer in racers))
    answers = [json.loads(answer) for answer, _ in await asyncio.gather(*(one.communicate(b"\n") for one in racers))]
    return [Counter(ours) + Counter(theirs) for ours, theirs in zip(*answers, strict=True)]


async def run(database: str, store: str, *rounds: str) -> list[Counter[str]]:
    async with Sigra(cheap_settings(database, limits={"url": store}), ["sessions"]) as auth:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        return [await at_once(auth, clients, TRIES) for clients in rounds]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(*sys.argv[1:]))))

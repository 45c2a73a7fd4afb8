"""Many tries at once, in two processes: how many were let through."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from sigra import Sigra, SigraError
from sigra.testing import cheap_settings

ROOT = Path(__file__).parent.parent.parent
TRIES = 100
"""By each process."""


async def count(auth: Sigra, client: str, account: str) -> str:
    try:
        await auth.limits.count("attempt", client=client, account=account)
    except SigraError as error:
        return error.code
    return "passed"


async def tried(database: str, store: str, clients: str) -> Counter[str]:
    """What came of as many tries at once, by one client or by many, at one account."""
    async with Sigra(cheap_settings(database, limits={"url": store}), ["sessions"]) as auth:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        all_of_them = (clients.format(number) for number in range(TRIES))
        return Counter(await asyncio.gather(*(count(auth, client, "ada@example.com") for client in all_of_them)))


async def race(database: str, store: str, clients: str) -> Counter[str]:
    """What came of the tries of two processes that start at one instant.

    Args:
        clients: Their address, with `{}` where they differ by a number.
    """
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.limits.racers", database, store, clients)
    racers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(2)]
    for racer in racers:
        await racer.stdout.readline()  # ready
    answers = await asyncio.gather(*(racer.communicate(b"\n") for racer in racers))
    return sum((Counter(json.loads(answer)) for answer, _ in answers), Counter())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(tried(*sys.argv[1:]))))

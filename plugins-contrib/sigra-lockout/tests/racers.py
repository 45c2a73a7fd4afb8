"""What other processes do in these tests: `race URL` guesses a hundred times at once, `die URL` ends at its first try.

A race says "ready", waits for a line, and prints how often each hash was compared, and how many tries `passed`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter

import argon2

from sigra import Sigra, hookimpl
from sigra.testing import Client, FrozenClock, application, cheap_settings

TRIES = 100
BODY = {"email": "ada@example.com", "password": "not the password"}


class Gate:
    """Counts the tries that a lock lets pass, to be looked at where the machine has the time."""

    name, api = "gate", 1

    def __init__(self) -> None:
        self.passed = 0

    @hookimpl(trylast=True)
    async def before_attempt(self) -> None:
        self.passed += 1


def compared() -> Counter[str]:
    """How often each hash is compared with something, from now on."""
    seen: Counter[str] = Counter()
    verify = argon2.PasswordHasher.verify

    def counting(hasher: argon2.PasswordHasher, hash: str, secret: bytes) -> bool:
        seen[hash] += 1
        return verify(hasher, hash, secret)

    argon2.PasswordHasher.verify = counting  # type: ignore[method-assign]
    return seen


async def guess(auth: Sigra, number: int) -> int:
    async with Client(auth.wrap(application), auth, address=(f"198.51.100.{number}", 50_000)) as client:
        return int((await client.post("/auth/login", json=BODY)).status_code)


async def race(url: str) -> dict[str, int]:
    seen, gate = compared(), Gate()
    # The queue holds all of them: none is told to come back before it is looked at.
    settings = cheap_settings(url, password={"memory_kib": 8, "time": 1, "queue": 1000})
    async with Sigra(settings, ["defaults", "lockout", gate], clock=FrozenClock()) as auth:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        statuses = await asyncio.gather(*(guess(auth, number) for number in range(TRIES)))
    # On a busy machine the last of so many may be told to come back.
    assert 401 in statuses and set(statuses) <= {401, 503}, statuses
    return {**seen, "passed": gate.passed}


class Mortal:
    """Dies where a try is counted and not looked at."""

    name, api = "mortal", 1

    @hookimpl(trylast=True)
    async def before_attempt(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


async def die(url: str) -> None:
    async with Sigra(cheap_settings(url), ["defaults", "lockout", Mortal()], clock=FrozenClock()) as auth:
        await guess(auth, 1)


if __name__ == "__main__":
    print(json.dumps(asyncio.run({"race": race, "die": die}[sys.argv[1]](sys.argv[2]))))

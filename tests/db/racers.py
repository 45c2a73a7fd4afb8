"""What other processes do in the tests of this folder."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Self

from sqlalchemy import Column, Integer, MetaData, Table, update

from sigra.crypto import KeyRing
from sigra.db import Database
from sigra.db.schema import core_tables
from sigra.db.single_use import SingleUseTokens
from tests.db.conftest import KEYS

TRIES = 32

counters = Table("counters", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer, nullable=False))
ADD_ONE = update(counters).where(counters.c.id == 1).values(n=counters.c.n + 1)


async def spend(db: Database, token: str) -> int:
    """Use a token many times at once; how often it worked."""
    tokens = SingleUseTokens(
        core_tables(MetaData()).tokens, KeyRing(KEYS), clock=lambda: datetime.now(UTC), random=secrets.token_bytes
    )
    spent = [db.transaction(lambda tx: tokens.spend(tx, "race", token)) for _ in range(TRIES)]
    return sum(payload is not None for payload in await asyncio.gather(*spent))


async def write(db: Database, seconds: str) -> int:
    """Write, four at once, for some seconds; how often it was done."""
    end = time.monotonic() + float(seconds)

    async def go_on() -> int:
        done = 0
        while time.monotonic() < end:
            await db.transaction(lambda tx: tx.execute(ADD_ONE))
            done += 1
        return done

    return sum(await asyncio.gather(*(go_on() for _ in range(4))))


DEEDS = {"spend": spend, "write": write}


async def once(deed: str, url: str, line: str) -> int:
    db = Database(url)
    try:
        return await DEEDS[deed](db, line)
    finally:
        await db.aclose()


def run(round_: tuple[str, str, str]) -> int:
    together.wait()
    return asyncio.run(once(*round_))


def meet(barrier: Barrier) -> None:
    global together  # noqa: PLW0603  a forked process has it to itself
    together = barrier


def main(deed: str, url: str, count: str) -> None:
    """Import once, fork, and go through the rounds."""
    forked = get_context("fork")
    with forked.Pool(int(count), meet, (forked.Barrier(int(count)),)) as pool:
        for line in sys.stdin:
            print(json.dumps(pool.map(run, [(deed, url, line.strip())] * int(count), chunksize=1)), flush=True)


class Racers:
    """Some processes, that start every round at the same instant."""

    def __init__(self, deed: str, url: str, count: int) -> None:
        self._command = [sys.executable, "-m", "tests.db.racers", deed, url, str(count)]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
        return self

    async def round(self, line: str) -> list[int]:
        """Give every process the line; their answers."""
        self._process.stdin.write(f"{line}\n".encode())
        return json.loads(await self._process.stdout.readline())

    async def __aexit__(self, *_: object) -> None:
        self._process.stdin.close()
        await self._process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

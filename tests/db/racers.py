"""What other processes do in the tests of this folder: `python -m tests.db.racers spend|write URL`, a round a line."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from datetime import UTC, datetime

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


async def main(deed: str, url: str) -> None:
    db = Database(url)
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        print(await {"spend": spend, "write": write}[deed](db, line), flush=True)
    await db.aclose()


class Racers:
    """Some of these processes, driven together."""

    def __init__(self, deed: str, url: str, count: int) -> None:
        self._command = [sys.executable, "-m", "tests.db.racers", deed, url]
        self._count = count

    async def __aenter__(self) -> Racers:
        pipe = asyncio.subprocess.PIPE
        self._processes = [
            await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe) for _ in range(self._count)
        ]
        await self._answers()
        return self

    async def round(self, line: str) -> list[str]:
        """Give every process the line at once; their answers."""
        for process in self._processes:
            process.stdin.write(f"{line}\n".encode())
        return await self._answers()

    async def _answers(self) -> list[str]:
        lines = await asyncio.gather(*(process.stdout.readline() for process in self._processes))
        return [line.decode().strip() for line in lines]

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            process.stdin.close()
        await asyncio.gather(*(process.wait() for process in self._processes))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Many sign-ins at once, with the default hash: how many a second, in how much memory, and who else still gets answers.

A process of its own, whose memory is its own: `python -m bench.sign_ins` prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.applications import bare, sigra_settings
from sigra import Sigra
from sigra.settings import LimitsSettings, PasswordSettings
from sigra.testing import Client, create_tables, make_user

AT_ONCE = 256
PASSWORD = "correct horse battery staple"  # noqa: S105  (everybody's)
ALONE = 8


async def main() -> dict[str, Any]:
    # All come from one client and ask for one account, which limits are there to refuse.
    limits, password = LimitsSettings(enabled=False), PasswordSettings(queue=AT_ONCE)
    settings = sigra_settings("sqlite:///:memory:", limits=limits, password=password)
    async with Sigra(settings) as auth:
        await create_tables(auth)
        user = await make_user(auth, "ada@example.com", PASSWORD)
        begun = time.perf_counter()
        for _ in range(ALONE):
            await auth.hasher.hash(PASSWORD)
        alone = ALONE / (time.perf_counter() - begun)
        async with Client(auth.wrap(bare), auth) as client:
            pings: list[float] = []
            ping = asyncio.create_task(_ping(client, pings))
            baseline = _memory()
            body = {"email": user.email, "password": PASSWORD}
            begun = time.perf_counter()
            answers = await asyncio.gather(*(client.post("/auth/login", json=body) for _ in range(AT_ONCE)))
            seconds = time.perf_counter() - begun
            ping.cancel()
    return {
        "signed_in": sum(answer.status_code == 200 for answer in answers),
        "cores": os.cpu_count(),
        "alone": alone,
        "rate": AT_ONCE / seconds,
        "memory_kib": settings.password.memory_kib,
        "baseline": baseline,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "slowest": max(pings),
    }


async def _ping(client: Client, pings: list[float]) -> None:
    while True:
        begun = time.perf_counter()
        await client.get("/")
        pings.append(time.perf_counter() - begun)
        await asyncio.sleep(0.005)


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main())))

"""What other processes do in these tests: `URL CODE TIME` gives one code to 32 sign-ins at once, prints statuses.

Each says "ready" when its sign-ins wait, and goes on with the next line of its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime

from sigra import Sigra
from sigra.testing import Client, FrozenClock, application, cheap_settings

TRIES = 32


async def race(url: str, code: str, now: str) -> list[int]:
    settings = cheap_settings(url, password={"memory_kib": 8, "time": 1, "queue": 1000})
    async with Sigra(settings, ["defaults", "totp"], clock=FrozenClock(datetime.fromisoformat(now))) as auth:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        clients = [Client(auth.wrap(application), auth, address=(f"198.51.100.{n}", 1)) for n in range(TRIES)]
        for client in clients:
            assert (await client.sign_in(user)).status_code == 202
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(*(one.post("/auth/login/totp", json={"code": code}) for one in clients))
    return [answer.status_code for answer in answers]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(race(*sys.argv[1:]))))

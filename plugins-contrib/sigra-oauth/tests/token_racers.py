"""What other processes do in a test: `URL OPTIONS TIME COUNT` asks that often at once for one access token.

Says "ready", waits for a line, and prints what came: how often each token, or each error by its name.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from datetime import datetime

from sigra import Sigra, SigraError
from sigra.testing import FrozenClock, cheap_settings
from sigra_oauth import OAuth


async def race(url: str, options: str, now: str, count: str) -> Counter[str]:
    settings = cheap_settings(url, oauth=json.loads(options))
    async with Sigra(settings, ["defaults", "oauth"], clock=FrozenClock(datetime.fromisoformat(now))) as auth:
        user = await auth.users.by_email("ada@example.com")
        assert user is not None
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def ask() -> str:
            try:
                return await auth.plugin(OAuth).access_token(user, "hostile")
            except SigraError as error:
                return type(error).__name__

        return Counter(await asyncio.gather(*(ask() for _ in range(int(count)))))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(race(*sys.argv[1:]))))

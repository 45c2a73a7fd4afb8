"""Workers that prove a factor and are killed right before their n-th statement: `python -m tests.mortal`.

A line of JSON a worker: `[URL, TOKEN, N]`. Each is forked, since to import takes far longer than to sign in; when it
has ended, the status of the answer is printed, or null when it did not live to see it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, Self

from sqlalchemy import event
from starlette.applications import Starlette

from sigra import Sigra
from sigra.testing import Client, cheap_settings
from tests.ledger import Ledger
from tests.policies import Factor

ROOT = Path(__file__).parent.parent

PLUGINS = ["defaults", Factor(), Ledger()]


def kill_before(auth: Sigra, statement: int) -> None:
    """Die when that many statements and commits of transactions were sent."""
    left = [statement]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = auth.db._engine.sync_engine
    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, count)


async def prove(url: str, token: str, statement: int) -> int:
    """The status of the answer."""
    async with Sigra(cheap_settings(url), PLUGINS) as auth:
        kill_before(auth, statement)
        async with Client(auth.wrap(Starlette()), auth) as client:
            response = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})
    return response.status_code


def live(url: str, token: str, statement: int) -> int | None:
    """What a process of its own was answered."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(asyncio.run(prove(url, token, statement))).encode())
        except BaseException:  # noqa: BLE001  (a forked process ends here, whatever happens)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), "a worker ended otherwise than it was told to"
    return int(said) if status == 0 else None


class Mortals:
    """Where they come from."""

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "tests.mortal"]
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        return self

    async def killed_at(self, url: str, token: str, statement: int) -> int | None:
        """What one was answered; None when it was killed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([url, token, statement])}\n".encode())
        answer: int | None = json.loads(await self._process.stdout.readline())
        return answer

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(live(*json.loads(line))), flush=True)

"""Workers that take a callback and are killed right before their n-th statement: `python -m tests.oauth.mortal`.

A line of JSON a worker: `[URL, OAUTH, REQUEST, N]`. Each is forked, since to import takes longer than to sign in; when
it has ended, the status of the answer is printed, or null when it did not live to see it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from typing import Any, Self

from sigra import Sigra
from sigra.testing import Client, FrozenClock, cheap_settings
from tests.apps import application
from tests.ledger import Ledger
from tests.mortal import ROOT, kill_before
from tests.oauth.racers import sent


def plugins() -> list[Any]:
    return ["defaults", "oauth", Ledger()]


def build(url: str, oauth: dict[str, Any]) -> Sigra:
    return Sigra(cheap_settings(url, worker=False, oauth=oauth), plugins(), clock=FrozenClock())


async def come_back(url: str, oauth: dict[str, Any], request: dict[str, Any], statement: int) -> int:
    """The status of the answer."""
    async with build(url, oauth) as auth:
        kill_before(auth, statement)
        async with Client(auth.wrap(application), auth) as client:
            return await sent(client, request)


def live(url: str, oauth: dict[str, Any], request: dict[str, Any], statement: int) -> int | None:
    """What a process of its own was answered."""
    build(url, oauth)  # imports what it needs, once for all of them
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(asyncio.run(come_back(url, oauth, request, statement))).encode())
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
        command = [sys.executable, "-m", "tests.oauth.mortal"]
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        return self

    async def killed_at(self, url: str, oauth: dict[str, Any], request: dict[str, Any], statement: int) -> int | None:
        """What one was answered; None when it was killed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([url, oauth, request, statement])}\n".encode())
        answer: int | None = json.loads(await self._process.stdout.readline())
        return answer

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(live(*json.loads(line))), flush=True)

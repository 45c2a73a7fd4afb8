"""Workers in processes of their own: `python -m tests.postman`, a line of JSON a round: `[[URL, FILE, MINUTES, N]]`.

Each is forked for its round, since to import takes far longer than to work; when all have ended, their statuses are
printed. A worker's clock is so many minutes ahead, so that it finds leases ended. What it sends, it writes into the
file. It is killed right before its n-th deed: a statement that writes, a commit, what comes right after a message was
sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from sqlalchemy import event

from sigra import RenderedMessage, Sigra, hookimpl
from sigra.testing import cheap_settings
from tests.mailing import Bell, token_and_code

ROOT = Path(__file__).parent.parent


class Letters:
    """Sends by writing a line into a file."""

    name, api = "letters", 1

    def __init__(self, file: Path, deed: Callable[[], None] = lambda: None) -> None:
        self.file, self.deed = file, deed

    @hookimpl
    async def send_message(self, message: RenderedMessage) -> bool:
        line = " ".join((message.message_id, message.recipient, *token_and_code(message.text)))
        # One write of a short line at the end of a file is whole, whoever else writes.
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)
        self.deed()
        return True


class Fuse:
    """Kills the process at the n-th deed."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def lay(self, auth: Sigra) -> None:
        engine = auth.db._engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *told: self() if writes(told[2]) else None)
        event.listen(engine, "commit", lambda _: self())


def writes(statement: str) -> bool:
    return statement.startswith(("INSERT", "UPDATE", "DELETE"))


def postman(url: str, file: Path, minutes: int = 0, deed: Callable[[], None] = lambda: None) -> Sigra:
    ahead = timedelta(minutes=minutes)
    return Sigra(cheap_settings(url), [Bell(), Letters(file, deed)], clock=lambda: datetime.now(UTC) + ahead)


async def work(url: str, file: str, minutes: int, number: int) -> None:
    fuse = Fuse(number)
    async with postman(url, Path(file), minutes, fuse) as auth:
        fuse.lay(auth)
        await auth.worker.work()


def fork(url: str, file: str, minutes: int, number: int) -> int:
    """The process that works."""
    child = os.fork()
    if child:
        return child
    try:
        asyncio.run(work(url, file, minutes, number))
    except BaseException:  # noqa: BLE001  (a forked process ends here, whatever happens)
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    for line in sys.stdin:
        children = [fork(*one) for one in json.loads(line)]
        print(json.dumps([os.waitpid(child, 0)[1] for child in children]), flush=True)


class PostOffice:
    """Where postmen are sent out from."""

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "tests.postman"]
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        return self

    async def round(self, *postmen: tuple[str, Path, int, int]) -> list[bool]:
        """Which of them lived to the end of their work."""
        assert self._process.stdin is not None and self._process.stdout is not None
        told = [(url, str(file), minutes, number) for url, file, minutes, number in postmen]
        self._process.stdin.write(f"{json.dumps(told)}\n".encode())
        return [status == 0 for status in json.loads(await self._process.stdout.readline())]

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


if __name__ == "__main__":
    main()

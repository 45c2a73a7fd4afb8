"""What a skilled hand would write for one database and one table, without Sigra: the drivers' own look-ups.

They do the least that can be called the same work: digest, one indexed read joined with the user, life checked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

Find = Callable[[bytes], Awaitable[dict[str, Any] | None]]

COLUMNS = (
    "s.digest, s.id, s.amr, s.assurance, s.authenticated_at, s.last_used_at, s.expires_at, s.idle_seconds, "
    "u.id AS user_id, u.email, u.name, u.status"
)
FROM = "FROM sigra_sessions s JOIN sigra_users u ON u.id = s.user_id WHERE u.status = 'active' AND s.digest"
NAMES = [column.strip().rpartition(" ")[2].rpartition(".")[2] for column in COLUMNS.split(",")]


class RawApplication:
    """Puts the user of the session cookie into the scope of an application."""

    def __init__(self, app: Any, start: Callable[[], Awaitable[Find]], digest: Callable[[str], bytes]) -> None:
        self.app, self.start, self.digest = app, start, digest
        self.find: Find | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.find is None:
            self.find = await self.start()
        row = None
        for name, value in scope["headers"]:
            if name == b"cookie":
                secret = value.decode("latin-1").partition("sigra=")[2]
                row = await self.find(self.digest(secret))
        await self.app({**scope, "sigra.user": row if row is not None and is_alive(row) else None}, receive, send)


def is_alive(row: dict[str, Any]) -> bool:
    now, expires, used = datetime.now(UTC), row["expires_at"], row["last_used_at"]
    if isinstance(expires, str):
        expires = datetime.fromisoformat(expires).replace(tzinfo=UTC)
        used = datetime.fromisoformat(used).replace(tzinfo=UTC)
    return bool(now < expires and now < used + timedelta(seconds=row["idle_seconds"]))


def asyncpg_pool(url: str) -> Callable[[], Awaitable[Find]]:
    """One query a request, on a connection of the driver's pool."""

    async def start() -> Find:
        pool = await asyncpg.create_pool(url, min_size=1, max_size=10)

        async def find(digest: bytes) -> dict[str, Any] | None:
            row = await pool.fetchrow(f"SELECT {COLUMNS} {FROM} = $1", digest)
            return None if row is None else dict(row)

        return find

    return start


def asyncpg_coalesced(url: str) -> Callable[[], Awaitable[Find]]:
    """One connection, one prepared statement for all that arrive while another runs."""

    async def start() -> Find:
        connection = await asyncpg.connect(url)
        statement = await connection.prepare(f"SELECT {COLUMNS} {FROM} = ANY($1::bytea[])")

        async def ask(digests: Sequence[bytes]) -> Sequence[Any]:
            return await statement.fetch(digests)

        return coalesced(ask)

    return start


def coalesced(ask: Callable[[Sequence[bytes]], Awaitable[Sequence[Any]]]) -> Find:
    loop = asyncio.get_running_loop()
    waiting: dict[bytes, list[asyncio.Future[Any]]] = {}
    running: set[asyncio.Task[None]] = set()

    async def run() -> None:
        while waiting:
            asked = waiting.copy()
            waiting.clear()
            rows = {row["digest"]: row for row in await ask(list(asked))}
            for digest, answers in asked.items():
                row = rows.get(digest)
                for answer in answers:
                    answer.set_result(None if row is None else dict(row))
        running.clear()

    async def find(digest: bytes) -> dict[str, Any] | None:
        answer = loop.create_future()
        waiting.setdefault(digest, []).append(answer)
        if not running:
            running.add(loop.create_task(run()))
        found: dict[str, Any] | None = await answer
        return found

    return find


def sqlite_opened(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA mmap_size=268435456")
    return connection


def sqlite_plain(path: str) -> Callable[[], Awaitable[Find]]:
    """One query a request, in the event loop."""

    async def start() -> Find:
        connection = sqlite_opened(path)

        async def find(digest: bytes) -> dict[str, Any] | None:
            row = connection.execute(f"SELECT {COLUMNS} {FROM} = ?", (digest,)).fetchone()
            return None if row is None else dict(zip(NAMES, row, strict=True))

        return find

    return start


def sqlite_coalesced(path: str) -> Callable[[], Awaitable[Find]]:
    """The secrets of one turn of the loop in one statement."""

    async def start() -> Find:
        connection = sqlite_opened(path)
        loop = asyncio.get_running_loop()
        waiting: dict[bytes, list[asyncio.Future[Any]]] = {}

        def run() -> None:
            marks = ", ".join("?" * len(waiting))
            query = f"SELECT {COLUMNS} {FROM} IN ({marks})"
            rows = {row[0]: row for row in connection.execute(query, tuple(waiting)).fetchall()}
            for digest, answers in waiting.items():
                row = rows.get(digest)
                for answer in answers:
                    answer.set_result(None if row is None else dict(zip(NAMES, row, strict=True)))
            waiting.clear()

        async def find(digest: bytes) -> dict[str, Any] | None:
            answer = loop.create_future()
            if not waiting:
                loop.call_soon(run)
            waiting.setdefault(digest, []).append(answer)
            found: dict[str, Any] | None = await answer
            return found

        return find

    return start

"""Look-ups that travel together: one connection an event loop, one statement for all that arrive while another runs.

Nothing is kept: a statement starts after every request that it answers has arrived, so the next sees a revocation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sigra.errors import Unavailable

TIME_LIMIT = 5.0
"""Seconds that a statement may take; then it is 503 for its batch alone."""

BATCH = 512
"""Secrets that go into one statement, at most."""

Rows = Mapping[bytes, Sequence[Any]]
"""The rows found, by digest."""

_Asked = tuple[Sequence[bytes], "asyncio.Future[Sequence[Any] | None]"]


class Reader:
    """Answers look-ups on connections of their own, in autocommit, never from the pool of transactions.

    Args:
        engine: Opens them.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    async def find(self, statement: Select[Any], key: int, digests: Sequence[bytes]) -> Sequence[Any] | None:
        """The row whose digest is one of `digests`.

        Args:
            statement: Takes a list of `digests`; the same object for every look-up of one kind.
            key: Where in a row its digest stands.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._engine, loop)
        return await line.ask(statement, key, digests)

    async def aclose(self) -> None:
        """Close the connection of this loop."""
        line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None:
            await line.aclose()


class _Line:
    """One event loop's connection, and who waits for it."""

    def __init__(self, engine: AsyncEngine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine, self._loop = engine, loop
        self._connection: AsyncConnection | None = None
        self._waiting: dict[tuple[Select[Any], int], list[_Asked]] = {}
        self._task: asyncio.Task[None] | None = None

    async def ask(self, statement: Select[Any], key: int, digests: Sequence[bytes]) -> Sequence[Any] | None:
        answer: asyncio.Future[Sequence[Any] | None] = self._loop.create_future()
        self._waiting.setdefault((statement, key), []).append((digests, answer))
        if self._task is None:
            # Of no request: one that is cancelled does not end what its neighbours wait for.
            self._task = self._loop.create_task(self._run(), context=Context())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                for (statement, key), asked in waiting.items():
                    for start in range(0, len(asked), BATCH):
                        await self._answer(statement, key, asked[start : start + BATCH])
        finally:
            self._task = None

    async def _answer(self, statement: Select[Any], key: int, asked: Sequence[_Asked]) -> None:
        wanted = list({digest: None for digests, answer in asked if not answer.done() for digest in digests})
        try:
            rows = await self._rows(statement, key, wanted) if wanted else {}
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait are told; the next batch goes on
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for digests, answer in asked:
            if not answer.done():
                answer.set_result(next((rows[digest] for digest in digests if digest in rows), None))

    async def _rows(self, statement: Select[Any], key: int, wanted: list[bytes]) -> Rows:
        """What the statement finds; on a connection that was lost while it rested, once more on a new one."""
        rested = self._connection is not None
        try:
            return await self._execute(statement, key, wanted)
        except Unavailable:
            await self._drop()
            if not rested:
                raise
        except BaseException:
            await self._drop()
            raise
        return await self._execute(statement, key, wanted)

    async def _execute(self, statement: Select[Any], key: int, wanted: list[bytes]) -> Rows:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                if self._connection is None:
                    self._connection = await self._engine.connect()
                rows = (await self._connection.execute(statement, {"digests": _padded(wanted)})).all()
        except (TimeoutError, OSError) as error:
            await self._drop()
            raise Unavailable from error
        return {bytes(row[key]): row for row in rows}

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # What is in an unknown state is not closed politely, which could wait for it.
            await connection.invalidate()
            await connection.close()

    async def aclose(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task})
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _padded(wanted: list[bytes]) -> list[bytes]:
    """Up to a power of two, so that the database sees few different statements."""
    size = 1 << (len(wanted) - 1).bit_length()
    return wanted + [wanted[-1]] * (size - len(wanted))

"""Look-ups that travel together: one connection an event loop, one statement for all that arrive while another runs.

Nothing is kept: a statement starts after every request that it answers has arrived, so the next sees a revocation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from weakref import WeakKeyDictionary

from sigra.db.dialects.reading import Query, Reading, Row
from sigra.errors import Unavailable

TIME_LIMIT = 5.0
"""Seconds that a statement may take; then it is 503 for its batch alone."""

BATCH = 512
"""Secrets that go into one statement, at most."""

_Answer = asyncio.Future[Row | None]
_Asked = tuple[Sequence[bytes], _Answer]


class Reader:
    """Answers look-ups on connections of their own, in autocommit, never from the pool of transactions.

    Args:
        reading: Makes them.
    """

    def __init__(self, reading: Callable[[], Reading]) -> None:
        self._reading = reading
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    def find(self, query: Query, digests: Sequence[bytes]) -> _Answer:
        """The row whose digest is one of `digests`, as soon as it is awaited.

        Args:
            query: The same object for every look-up of one kind.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._reading(), loop)
        return line.ask(query, digests)

    async def aclose(self) -> None:
        """Close the connection of this loop."""
        line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None:
            await line.aclose()


class _Line:
    """One event loop's connection, and who waits for it."""

    def __init__(self, reading: Reading, loop: asyncio.AbstractEventLoop) -> None:
        self._reading, self._loop = reading, loop
        self._waiting: dict[Query, list[_Asked]] = {}
        self._task: asyncio.Task[None] | None = None

    def ask(self, query: Query, digests: Sequence[bytes]) -> _Answer:
        answer: _Answer = self._loop.create_future()
        self._waiting.setdefault(query, []).append((digests, answer))
        if self._task is None:
            # It begins with the next turn of the loop, so that what arrives in this one goes along. Of no request: one
            # that is cancelled does not end what its neighbours wait for.
            self._task = self._loop.create_task(self._run(), context=Context())
        return answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                for query, asked in waiting.items():
                    for start in range(0, len(asked), BATCH):
                        await self._answer(query, asked[start : start + BATCH])
        finally:
            self._task = None

    async def _answer(self, query: Query, asked: Sequence[_Asked]) -> None:
        wanted = list({digest: None for digests, answer in asked if not answer.done() for digest in digests})
        try:
            rows = await self._rows(query, wanted) if wanted else {}
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait are told; the next batch goes on
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for digests, answer in asked:
            if not answer.done():
                answer.set_result(_first(rows, digests))

    async def _rows(self, query: Query, wanted: Sequence[bytes]) -> Mapping[bytes, Row]:
        """What the query finds; on a connection that was lost or outdated while it rested, once more on a new one."""
        rested = self._reading.is_open
        try:
            async with asyncio.timeout(TIME_LIMIT):
                try:
                    return await self._execute(query, wanted)
                except Exception:
                    await self._reading.drop()
                    if not rested:
                        raise
                return await self._execute(query, wanted)
        except OSError as error:
            await self._reading.drop()
            raise Unavailable from error
        except BaseException:
            await self._reading.drop()
            raise

    async def _execute(self, query: Query, wanted: Sequence[bytes]) -> Mapping[bytes, Row]:
        return {bytes(row[query.index]): row for row in await self._reading.rows(query, wanted)}

    async def aclose(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._reading.close()


def _first(rows: Mapping[bytes, Row], digests: Sequence[bytes]) -> Row | None:
    for digest in digests:
        if digest in rows:
            return rows[digest]
    return None

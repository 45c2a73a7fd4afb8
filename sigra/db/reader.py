"""Look-ups that travel together: one connection an event loop, one statement for all that arrive while another runs.

Nothing is kept: a statement starts after every request that it answers has arrived, so the next sees a revocation.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from sigra.db.dialects.reading import Query, Reading, Row
from sigra.errors import Unavailable
from sigra.loops import PerLoop

TIME_LIMIT = 5.0
"""Seconds that a statement may take; then it is 503 for its batch alone."""

BATCH = 512
"""Secrets that go into one statement, at most."""

CROWD = 8
"""Look-ups of one statement from which on the next one waits for as many."""

WINDOW = 0.001
"""Seconds that it waits, at most; as short as event loops' timers go."""

_Answer = asyncio.Future[Any]
_Asked = tuple[Sequence[bytes], _Answer]


class Reader:
    """Answers look-ups on connections of their own, in autocommit, never from the pool of transactions.

    Args:
        reading: Makes them.
    """

    def __init__(self, reading: Callable[[], Reading]) -> None:
        self._lines = PerLoop(lambda: _Line(reading(), asyncio.get_running_loop()), _leave)

    def find(self, query: Query, digests: Sequence[bytes]) -> _Answer:
        """What `query` makes of the row whose digest is one of `digests`; None for no such row.

        Args:
            query: The same object for every look-up of one kind.

        Raises:
            Unavailable: The database cannot be reached or does not answer in time.
        """
        return self._lines.get().ask(query, digests)

    async def aclose(self) -> None:
        """Close the connection of this loop."""
        line = self._lines.pop()
        if line is not None:
            await line.aclose()


class _Line:
    """One event loop's connection, and who waits for it."""

    def __init__(self, reading: Reading, loop: asyncio.AbstractEventLoop) -> None:
        self._reading, self._loop = reading, loop
        self._waiting: defaultdict[Query, list[_Asked]] = defaultdict(list)
        self._begun = False
        self._crowd = self._missing = 0
        self._gathered: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        # Of no request: one that is cancelled does not end what its neighbours wait for.
        self._context = Context()

    def ask(self, query: Query, digests: Sequence[bytes]) -> _Answer:
        answer: _Answer = self._loop.create_future()
        self._waiting[query].append((digests, answer))
        if not self._begun:
            self._begin()
        elif self._missing:
            self._missing -= 1
            if not self._missing:
                self._go_on()
        return answer

    def _begin(self) -> None:
        """Begin with the next turn of the loop, so that what arrives in this one goes along."""
        self._begun = True
        if self._reading.in_loop:
            self._loop.call_soon(self._run_at_once, context=self._context)
        else:
            self._start()

    def _start(self) -> None:
        self._task = self._loop.create_task(self._run(), context=self._context)
        # Not at the end of what it runs: a task that is cancelled before its first step runs nothing.
        self._task.add_done_callback(self._end, context=self._context)

    def _end(self, _: asyncio.Task[None]) -> None:
        self._task, self._begun = None, False
        if self._waiting:
            self._begin()

    def _run_at_once(self) -> None:
        """Answer what can be answered without waiting, and leave the rest to a task."""
        for query, asked in self._taken().items():
            for start in range(0, len(asked), BATCH):
                some = asked[start : start + BATCH]
                wanted = _wanted(some)
                rows = self._reading.rows_at_once(query, wanted) if wanted else ()
                if rows is None:
                    self._waiting[query] += some
                else:
                    _give(query, some, rows)
        if self._waiting:
            self._start()
        else:
            self._begun = False

    async def _run(self) -> None:
        while self._waiting:
            if self._crowd >= CROWD:
                await self._gather()
            waiting = self._taken()
            self._crowd = sum(map(len, waiting.values()))
            try:
                for query, asked in waiting.items():
                    for start in range(0, len(asked), BATCH):
                        await self._answer(query, asked[start : start + BATCH])
            except BaseException:
                # Cancelled, from outside or by the driver: nobody else would tell those who wait.
                for asked in waiting.values():
                    _refuse(asked, Unavailable())
                raise
            # Those answered go on first, and what arrives meanwhile goes along with the next statement.
            await asyncio.sleep(0)
            if self._reading.in_loop:
                break

    async def _gather(self) -> None:
        """Wait for those who asked together last time: answered together, they come back together."""
        self._missing = max(0, self._crowd - sum(map(len, self._waiting.values())))
        if not self._missing:
            return
        self._gathered = self._loop.create_future()
        timer = self._loop.call_later(WINDOW, self._go_on)
        try:
            await self._gathered
        finally:
            timer.cancel()
            self._missing = 0

    def _go_on(self) -> None:
        self._missing = 0
        if self._gathered is not None and not self._gathered.done():
            self._gathered.set_result(None)

    def _taken(self) -> dict[Query, list[_Asked]]:
        """Those who wait, for the next statement."""
        waiting, self._waiting = self._waiting, defaultdict(list)
        return waiting

    async def _answer(self, query: Query, asked: Sequence[_Asked]) -> None:
        wanted = _wanted(asked)
        try:
            rows = await self._rows(query, wanted) if wanted else ()
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait are told; the next batch goes on
            _refuse(asked, error)
            return
        _give(query, asked, rows)

    async def _rows(self, query: Query, wanted: Sequence[bytes]) -> Sequence[Row]:
        """What the query finds; on a connection that was lost or outdated while it rested, once more on a new one."""
        rested = self._reading.is_open
        try:
            async with asyncio.timeout(TIME_LIMIT):
                try:
                    return await self._reading.rows(query, wanted)
                except Exception:
                    await self._reading.drop()
                    if not rested:
                        raise
                return await self._reading.rows(query, wanted)
        except OSError as error:
            await self._reading.drop()
            raise Unavailable from error
        except BaseException:
            await self._reading.drop()
            raise

    async def aclose(self) -> None:
        while self._begun:
            await (asyncio.sleep(0) if self._task is None else asyncio.wait({self._task}))
        await self._reading.close()


def _leave(line: _Line) -> None:
    """Nothing of a closed loop can be awaited; its connection ends with the last reference to it."""


def _wanted(asked: Sequence[_Asked]) -> Sequence[bytes]:
    return list(set().union(*[digests for digests, answer in asked if not answer.done()]))


def _give(query: Query, asked: Sequence[_Asked], rows: Sequence[Row]) -> None:
    index, made = query.index, query.made
    found = {}
    for row in rows:
        try:
            found[row[index]] = made(row)
        except Exception as error:  # noqa: BLE001  what cannot be read is told to who asked for it, and to nobody else
            found[row[index]] = _Unreadable(error)
    for digests, answer in asked:
        if answer.done():
            continue
        its = None
        for digest in digests:
            its = found.get(digest)
            if its is not None:
                break
        if type(its) is _Unreadable:
            answer.set_exception(its.error)
        else:
            answer.set_result(its)


class _Unreadable:
    """Stands for a row of which nothing could be made."""

    def __init__(self, error: Exception) -> None:
        # No future takes a StopIteration: it would end the coroutine that waits.
        self.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error


def _refuse(asked: Sequence[_Asked], error: Exception) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(error)

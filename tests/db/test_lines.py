"""Who waits for a look-up is answered, whatever becomes of the statement, the task that runs it, and neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Column, LargeBinary, select

from sigra.db.dialects.reading import Query, Row
from sigra.db.reader import Reader
from sigra.errors import Unavailable

DIGEST = Column("digest", LargeBinary)


class Gate:
    """A connection that answers, when it is let to, with the digests themselves."""

    is_open = in_loop = False

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.statements: list[int] = []
        self.fail: BaseException | None = None

    def rows_at_once(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row] | None:
        return None

    async def rows(self, query: Query, digests: Sequence[bytes]) -> Sequence[Row]:
        self.statements.append(len(digests))
        await self.open.wait()
        if self.fail is not None:
            raise self.fail
        return [(digest,) for digest in digests]

    async def drop(self) -> None:
        pass

    async def close(self) -> None:
        pass


def query(made: Callable[[Row], Any] = bytes.decode) -> Query:
    return Query(select(DIGEST), DIGEST, 0, lambda row: made(row[0]))


@asynccontextmanager
async def reading() -> AsyncIterator[tuple[Reader, Gate]]:
    gate = Gate()
    reader = Reader(lambda: gate)
    yield reader, gate
    async with asyncio.timeout(2):
        await reader.aclose()


def line_of(reader: Reader) -> asyncio.Task[None]:
    """The task that answers on this loop."""
    task = reader._lines.get()._task
    assert task is not None
    return task


async def answers_of(*waiting: Awaitable[Any]) -> list[Any]:
    """Answers, errors, and None for each that has none in time."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.wait(tasks, timeout=2)
    return [(one.exception() or one.result()) if one.done() else None for one in tasks]


def find(reader: Reader, what: Query, digest: bytes) -> asyncio.Future[Any]:
    try:
        return reader.find(what, [digest])
    except Exception as error:  # noqa: BLE001  (any is an outcome)
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(error)
        return failed


async def asked(reader: Reader, what: Query, *digests: bytes) -> list[Any]:
    """All of them at once."""
    return await answers_of(*[find(reader, what, digest) for digest in digests])


async def test_hc45_who_waits_for_a_statement_that_is_cut_off_is_told() -> None:
    async with reading() as (reader, gate):
        several = [reader.find(what, [b"a"]) for what in (query(), query()) for _ in range(600)]
        await asyncio.sleep(0.01)
        line_of(reader).cancel()
        answers = await answers_of(*several)
        gate.open.set()

        assert {type(answer) for answer in answers} == {Unavailable}
        assert await asked(reader, query(), b"b") == ["b"]


async def test_hc45_a_statement_that_is_cut_off_before_it_begins_is_begun_again() -> None:
    async with reading() as (reader, gate):
        gate.open.set()
        answer = reader.find(query(), [b"a"])
        line_of(reader).cancel()

        assert await answers_of(answer) == ["a"]


async def test_hc45_a_driver_that_gives_up_by_itself_is_unavailable() -> None:
    async with reading() as (reader, gate):
        gate.open.set()
        gate.fail = asyncio.CancelledError()
        [answer] = await asked(reader, query(), b"a")
        gate.fail = None

        assert type(answer) is Unavailable
        assert await asked(reader, query(), b"b") == ["b"]


async def test_hc45_a_crowd_whose_task_is_cut_off_while_it_gathers_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigra.db.reader.WINDOW", 60)
    async with reading() as (reader, gate):
        gate.open.set()
        its = query()
        await asked(reader, its, *[b"crowd"] * 16)
        first = reader.find(its, [b"first"])
        while not reader._lines.get()._missing:  # noqa: ASYNC110  (nobody is told that it waits)
            await asyncio.sleep(0)
        line_of(reader).cancel()
        late = await asked(reader, its, *[b"late"] * 15)

        assert await answers_of(first) + late == ["first", *["late"] * 15]


async def test_hc45_a_row_at_which_a_generator_would_end_is_told_as_an_error() -> None:
    async with reading() as (reader, gate):
        gate.open.set()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        answers = await asked(reader, query(lambda digest: next(iter(()))), b"a", b"b")

        assert {type(answer) for answer in answers} == {RuntimeError}
        assert await asked(reader, query(), b"b") == ["b"]

"""Later work outlives the request that caused it and sees nothing of it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from sigra.worker import PATIENCE, Background

request: ContextVar[str] = ContextVar("request", default="none")


async def test_shutdown_waits_for_work() -> None:
    background, done = Background(), list[str]()

    async def work() -> None:
        await asyncio.sleep(0)
        done.append("done")

    background.spawn(work())
    assert done == []
    await background.drain()

    assert done == ["done"]


async def test_hc50_work_runs_in_a_clean_context() -> None:
    background, seen = Background(), list[str]()

    async def work() -> None:
        seen.append(request.get())

    token = request.set("a request")
    background.spawn(work())
    request.reset(token)
    await background.drain()

    assert seen == ["none"]


async def test_work_that_takes_too_long_is_cancelled_and_may_clean_up() -> None:
    background, ends = Background(), list[str]()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cleaned up")

    background.spawn(endless())
    await background.drain(patience=0.01)

    assert ends == ["cleaned up"]


async def test_work_that_fails_hinders_nobody() -> None:
    background, done = Background(), list[str]()
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))

    async def failing() -> None:
        raise ValueError

    async def work() -> None:
        done.append("done")

    background.spawn(failing())
    background.spawn(work())
    await background.drain()

    assert done == ["done"]


async def test_cancelling_the_request_does_not_cancel_the_work() -> None:
    background, done, started = Background(), list[str](), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.append("done")

    async def serve() -> None:
        background.spawn(work())
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await background.drain()

    assert done == ["done"]


async def test_nothing_to_wait_for_is_no_wait() -> None:
    await Background().drain()


def test_work_of_another_loop_is_left_to_it() -> None:
    background = Background()

    async def spawn() -> None:
        background.spawn(asyncio.sleep(0))
        await asyncio.sleep(0)

    async def drain() -> None:
        await background.drain()

    asyncio.run(spawn())
    asyncio.run(drain())


def test_shutdown_waits_five_seconds() -> None:
    assert PATIENCE == 5.0

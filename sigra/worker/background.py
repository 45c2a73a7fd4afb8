"""Tasks that outlive the request which caused them, and that shutdown waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any

PATIENCE = 5.0
"""Seconds that shutdown waits for tasks before it cancels them."""


class Background:
    """Tasks in a context of their own: they see no request, and no request waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` soon, on the running loop."""
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, patience: float = PATIENCE) -> None:
        """Wait for the tasks of this loop, and for those that they spawn; then cancel what is left.

        Args:
            patience: Seconds.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while tasks := self._of_this_loop():
                    await asyncio.wait(tasks)
        late = self._of_this_loop()
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _of_this_loop(self) -> set[asyncio.Task[None]]:
        loop = asyncio.get_running_loop()
        return {task for task in self._tasks if task.get_loop() is loop}

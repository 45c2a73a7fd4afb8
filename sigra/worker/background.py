"""Tasks that outlive the request which caused them, and that shutdown waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
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
        """Wait for the tasks of this loop, then cancel what is left.

        Args:
            patience: Seconds.
        """
        loop = asyncio.get_running_loop()
        tasks = {task for task in self._tasks if task.get_loop() is loop}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

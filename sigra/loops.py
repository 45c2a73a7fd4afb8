"""What belongs to one event loop: connections cannot move to another, and end with theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One thing an event loop, made when it is first asked for.

    Args:
        make: Makes it, in the running loop.
        abandon: Lets go of one whose loop is closed, so that nothing of it can be awaited any more.
    """

    def __init__(self, make: Callable[[], T], abandon: Callable[[T], object]) -> None:
        self._make, self._abandon = make, abandon
        self._kept: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        try:
            return self._kept[loop]
        except KeyError:
            self._forget_closed()
            self._kept[loop] = made = self._make()
            return made

    def pop(self) -> T | None:
        """Take out the running loop's, for its end."""
        return self._kept.pop(asyncio.get_running_loop(), None)

    def _forget_closed(self) -> None:
        # Held strongly: what belongs to a loop mostly holds the loop, and would keep a weak key alive.
        for loop in [loop for loop in self._kept if loop.is_closed()]:
            self._abandon(self._kept.pop(loop))

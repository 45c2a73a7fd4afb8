"""What belongs to one event loop: connections cannot move to another, and end with theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import get_ident
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Last(NamedTuple, Generic[T]):
    """Whom the last one was given to."""

    thread: int
    is_running: Callable[[], bool]
    thing: T


class PerLoop(Generic[T]):
    """One thing an event loop, made when it is first asked for.

    Args:
        make: Makes it, in the running loop.
        abandon: Lets go of one whose loop is closed, so that nothing of it can be awaited any more.
    """

    def __init__(self, make: Callable[[], T], abandon: Callable[[T], object]) -> None:
        self._make, self._abandon = make, abandon
        self._kept: dict[asyncio.AbstractEventLoop, T] = {}
        self._last: _Last[T] | None = None

    def get(self) -> T:
        """The running loop's."""
        last = self._last
        # A thread runs one loop at a time. To ask which one is a system call before Python 3.12.
        if last is not None and last.thread == get_ident() and last.is_running():
            return last.thing
        loop = asyncio.get_running_loop()
        if loop not in self._kept:
            self._forget_closed()
            self._kept[loop] = self._make()
        thing = self._kept[loop]
        self._last = _Last(get_ident(), loop.is_running, thing)
        return thing

    def pop(self) -> T | None:
        """Take out the running loop's, for its end."""
        self._last = None
        return self._kept.pop(asyncio.get_running_loop(), None)

    def _forget_closed(self) -> None:
        # Held strongly: what belongs to a loop mostly holds the loop, and would keep a weak key alive.
        for loop in [loop for loop in self._kept if loop.is_closed()]:
            self._abandon(self._kept.pop(loop))

"""Lets a crowd of requests in one by one, so that whatever else the loop serves gets its turn in between."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from sigra.loops import PerLoop


@dataclass(eq=False)
class _Gate:
    """The turnstile of one loop.

    Args:
        closed: Whether somebody goes through in this turn of the loop.
    """

    closed: bool = False
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def open(self) -> None:
        """Let the next one through, one turn after the last."""
        while self.waiting:
            first = self.waiting.popleft()
            if not first.done():  # it was not cancelled
                first.set_result(None)
                first.get_loop().call_soon(self.open)
                return
        self.closed = False


class Turnstile:
    """Lets one through in each turn of an event loop: the first at once, those who come after it in their order.

    A loop runs all that is ready before it looks at its sockets again: of 256 requests that arrive together, half a
    millisecond of work each, the next to arrive would wait for all.
    """

    def __init__(self) -> None:
        self._gates = PerLoop(_Gate, lambda _: None)

    async def pass_through(self) -> None:
        """Wait for one's turn."""
        gate, loop = self._gates.get(), asyncio.get_running_loop()
        if not gate.closed:
            gate.closed = True
            loop.call_soon(gate.open)
            return
        turn: asyncio.Future[None] = loop.create_future()
        gate.waiting.append(turn)
        await turn

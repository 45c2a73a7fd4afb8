"""Serve one application from this process, on a free loopback port that is printed when it is ready.

Alone in its folder, so that the peer's environment, which has no Sigra, can use it too.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
import uvloop

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Announcing(uvicorn.Server):
    """Prints its port once it serves."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        print(sockets[0].getsockname()[1], flush=True)


def serve(app: Application) -> None:
    """One worker on uvloop and httptools, as in production; until standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="on", log_level="error", access_log=False)
    server = Announcing(config)
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve([listener]))


def _end_with_input(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = True

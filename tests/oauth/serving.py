"""Serves an application on a loopback port from a thread of its own, whatever the test's own loop is busy with."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

PATIENCE = 20.0


def listening() -> socket.socket:
    """A socket at a free port; bound before anybody must know the port."""
    # asyncio sends small answers at once only on a socket that names its protocol.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.bind(("127.0.0.1", 0))
    return found


@contextmanager
def served(app: ASGIApp, at: socket.socket, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Serve it until the block ends; what is answered then is cut off."""
    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", ws="none", proxy_headers=False, timeout_graceful_shutdown=1
    )
    config.load()
    config.ssl = tls
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server._serve(sockets=[at])), daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            thread.join(0.005)
        assert server.started
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        at.close()


class Place:
    """A server for one application after the other: to start and to end one takes longer than most tests."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def place() -> Iterator[Place]:
    found, at = Place(), listening()
    found.port = at.getsockname()[1]
    with served(found, at):
        yield found

"""A deployment with planted faults, served on loopback: each is switched on by a header that nothing else reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from sigra import RenderedMessage, Sigra, hookimpl
from sigra.attack import Target
from sigra.http.request_limits import RequestLimits
from sigra.testing import PASSWORD, cheap_settings, create_tables, make_user
from tests.apps import application
from tests.broken.faults import FAULTS

HEADER = "x-fault"


class Quiet:
    """Takes every mail, so that the terminal stays as it is."""

    name = "quiet"
    api = 1

    @hookimpl
    async def send_message(self, message: RenderedMessage) -> bool:
        return True


class Build:
    """The application behind Sigra, sound unless a request names a fault.

    Args:
        state: What a fault remembers.
    """

    def __init__(self, auth: Sigra, origin: str) -> None:
        self.auth, self.origin, self.app = auth, origin, auth.wrap(application)
        self.state: dict[str, Any] = {}
        self.accounts = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = [value.decode() for name, value in scope.get("headers", ()) if name == HEADER.encode()]
        if named:
            await FAULTS[named[0]].run(self, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def target(self, fault: str | None = None, **options: Any) -> Target:
        """A new account to attack, with a fault or without."""
        self.accounts += 1
        self.state.clear()
        email = f"ada{self.accounts}@example.com"
        await make_user(self.auth, email)
        headers = [(HEADER, fault)] if fault else []
        options = {"clients": 20, "slow": 3.0, **options}
        target = Target(self.origin, email, PASSWORD, headers=headers, **options)
        await target.look()
        return target


@asynccontextmanager
async def served(database: str, plugins: list[Any] | None = None, **options: Any) -> AsyncIterator[Build]:
    """A build under uvicorn, with limits and a worker, the cheapest hash and a short patience."""
    # asyncio sends small answers at once only on a socket that names its protocol.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    origin = f"http://localhost:{listening.getsockname()[1]}"
    settings = cheap_settings(database, base_url=origin, **{"worker": True, "limits": {}, **options})
    async with Sigra(settings, [*(plugins or ["defaults"]), Quiet()]) as auth:
        await create_tables(auth)
        build = Build(auth, origin)
        config = uvicorn.Config(build, log_level="critical", proxy_headers=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        # The test's process handles its signals itself.
        serving = asyncio.create_task(server._serve(sockets=[listening]))
        try:
            yield build
        finally:
            server.should_exit = True
            await serving


def hurry() -> dict[str, Any]:
    """The defaults of how long a body may take: for a test to change."""
    found = RequestLimits.__init__.__kwdefaults__
    assert found is not None
    return found

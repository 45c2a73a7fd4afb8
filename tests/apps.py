"""The smallest applications that the tests put behind Sigra."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from sigra import RenderedMessage, Sigra, current_user, hookimpl, requires
from sigra.testing import Client, FrozenClock, cheap_settings, create_tables
from tests.conformity import conforming


async def who(request: Request) -> Response:
    """Say who is asking, by which credential."""
    user, identity = request.scope["sigra.user"], request.scope["sigra.identity"]
    return JSONResponse({"email": user and user.email, "method": identity and identity.method})


async def private(request: Request) -> Response:
    user = await current_user(request)
    return JSONResponse({"email": user.email})


async def reports(request: Request) -> Response:
    user = await requires(scopes=["reports:read"])(request)
    return JSONResponse({"email": user.email})


async def vault(request: Request) -> Response:
    user = await requires(fresh=True, assurance="aal2")(request)
    return JSONResponse({"email": user.email})


async def echo(websocket: WebSocket) -> None:
    """Answer every message with who sent it."""
    user = await current_user(websocket)
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{user.email}: {text}")


class Postbox:
    """A plugin that keeps what it is to send, where a test can read it.

    `await client.sigra.worker.work()` does what waits; until then nothing is sent.
    """

    name = "postbox"
    api = 1

    def __init__(self) -> None:
        self.messages: list[RenderedMessage] = []

    @hookimpl
    async def send_message(self, message: RenderedMessage) -> bool:
        self.messages.append(message)
        return True

    @property
    def kinds(self) -> list[str]:
        """What was sent, in order."""
        return [message.kind for message in self.messages]

    def token(self) -> str:
        """The token of the newest message's link."""
        found = re.search(r"#token=([A-Za-z0-9_-]{43})", self.messages[-1].text)
        assert found
        return found[1]

    def code(self) -> str:
        """The code in the newest message."""
        found = re.search(r"^\s*([0-9]{8})\s*$", self.messages[-1].text, re.MULTILINE)
        assert found
        return found[1]


application = Starlette(
    routes=[
        Route("/", who, methods=["GET", "POST"]),
        Route("/private", private),
        Route("/reports", reports),
        Route("/vault", vault),
        WebSocketRoute("/ws", echo),
    ]
)


async def put_off_jobs(auth: Sigra) -> None:
    """Have periodic jobs due when they are next, not at once: most of what a worker does first is to find nothing."""
    due = [{"name": job.name, "due_at": auth.clock() + job.every} for job in auth.worker._jobs._jobs]
    jobs = auth.metadata.tables["sigra_jobs"]
    await auth.db.transaction(lambda tx: auth.db.dialect.ensure(tx, jobs, due))


@asynccontextmanager
async def running(
    database: str,
    plugins: list[Any] | None = None,
    *,
    app: Any = application,
    clock: FrozenClock | None = None,
    jobs_due: bool = False,
    **options: Any,
) -> AsyncIterator[Client]:
    """A client of `app` behind a Sigra with its tables made; `client.sigra` is that Sigra, its clock stands still.

    Args:
        jobs_due: Whether periodic jobs are due at once, as where nobody has worked yet.
    """
    settings = cheap_settings(database, **options)
    async with Sigra(settings, plugins, clock=clock or FrozenClock()) as auth:
        await create_tables(auth)
        if not jobs_due:
            await put_off_jobs(auth)
        async with Client(auth.wrap(app), auth) as client:
            client.event_hooks = {"response": [conforming(auth)]}
            yield client

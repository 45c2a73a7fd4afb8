"""A WebSocket spoken to an ASGI application in the same event loop, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.types import ASGIApp, Message, Scope

ABNORMAL = 1006
"""What a peer sees of a connection that ends without a close frame (RFC 6455, section 7.4.1)."""

GOING_AWAY = 1001

PATIENCE = 5.0
"""Seconds that an application has to end after its client has hung up."""

_END: Message = {"type": "sigra.testing.end"}
"""After the last message of an application that has returned."""


class WebSocketRefused(Exception):
    """Raised when a handshake is not accepted.

    Args:
        response: The answer to it: 403 for a plain refusal (ASGI, "Close - send event"), else the denial response.
        code: The close code of a plain refusal.
    """

    def __init__(self, response: httpx2.Response, code: int | None = None) -> None:
        super().__init__(f"the handshake was answered {response.status_code}")
        self.response, self.code = response, code


class WebSocketClosed(Exception):
    """Raised on reading from a WebSocket that the application has closed.

    Args:
        code: The close code (RFC 6455, section 7.4).
        reason: As sent.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code, self.reason = code, reason


class WebSocket:
    """The client's end of an open WebSocket."""

    def __init__(self, app: ASGIApp, scope: Scope, patience: float) -> None:
        self._patience = patience
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(app, scope))
        self.subprotocol: str | None = None
        self.headers = httpx2.Headers()
        """Of the answer to the handshake."""

    async def send_text(self, text: str) -> None:
        await self._to_app.put({"type": "websocket.receive", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        await self._to_app.put({"type": "websocket.receive", "bytes": data})

    async def send_json(self, value: Any) -> None:
        await self.send_text(json.dumps(value))

    async def receive_text(self) -> str:
        """The next message, as text.

        Raises:
            WebSocketClosed: The application has closed.
        """
        return str((await self._receive())["text"])

    async def receive_bytes(self) -> bytes:
        """The next message, as bytes."""
        return bytes((await self._receive())["bytes"])

    async def receive_json(self) -> Any:
        """The next message, as what its JSON says."""
        return json.loads(await self.receive_text())

    async def close(self, code: int = 1000) -> None:
        """Hang up, and wait until the application has seen it."""
        await self._to_app.put({"type": "websocket.disconnect", "code": code, "reason": ""})
        await self._task

    async def _receive(self) -> Message:
        message = await self._next()
        if message["type"] == "websocket.close":
            raise WebSocketClosed(message.get("code", 1000), message.get("reason") or "")
        return message

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._to_app.get, self._from_app.put)
        finally:
            await self._from_app.put(_END)

    async def _next(self) -> Message:
        """What the application sends next; its own error when it has ended by one."""
        message = await self._from_app.get()
        if message is not _END:
            return message
        self._from_app.put_nowait(_END)
        await self._task
        return {"type": "websocket.close", "code": ABNORMAL}

    async def open(self, request: httpx2.Request) -> None:
        """Shake hands.

        Raises:
            WebSocketRefused: The application did not accept.
        """
        await self._to_app.put({"type": "websocket.connect"})
        message = await self._next()
        if message["type"] == "websocket.accept":
            self.subprotocol = message.get("subprotocol")
            self.headers = httpx2.Headers(list(message.get("headers", ())))
            return
        if message["type"] == "websocket.http.response.start":
            raise WebSocketRefused(await self._denial(message, request))
        raise WebSocketRefused(httpx2.Response(403, request=request), message.get("code", 1000))

    async def _denial(self, start: Message, request: httpx2.Request) -> httpx2.Response:
        body, more = b"", True
        while more:
            message = await self._next()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return httpx2.Response(start["status"], headers=start["headers"], content=body, request=request)

    async def end(self) -> None:
        """Hang up, if nobody has; an application that does not take it is cut off."""
        if not self._task.done():
            await self._to_app.put({"type": "websocket.disconnect", "code": GOING_AWAY, "reason": ""})
        async with asyncio.timeout(self._patience):
            await self._task


@asynccontextmanager
async def connected(
    app: ASGIApp,
    request: httpx2.Request,
    address: tuple[str, int],
    *,
    subprotocols: Sequence[str] = (),
    denial: bool = True,
    patience: float = PATIENCE,
) -> AsyncIterator[WebSocket]:
    """A WebSocket, from its handshake to its end.

    Args:
        request: The handshake: its URL and headers.
        denial: Whether the server can answer a refusal with a response (ASGI, "WebSocket Denial Response").
        patience: Seconds that the application has to end after its client has hung up.

    Raises:
        WebSocketRefused: The application did not accept.
    """
    websocket = WebSocket(app, _scope(request, address, subprotocols, denial), patience)
    try:
        await websocket.open(request)
        yield websocket
    finally:
        await websocket.end()


def _scope(request: httpx2.Request, address: tuple[str, int], subprotocols: Sequence[str], denial: bool) -> Scope:
    url = request.url
    return {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "wss" if url.scheme == "https" else "ws",
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": address,
        "server": (url.host, url.port),
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}} if denial else {},
        "state": {},
    }

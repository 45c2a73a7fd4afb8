"""The least application that shows what Sigra says about a request."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `{"user": …, "method": …}` to every request, and the same to every message on a WebSocket."""
    if scope["type"] == "http":
        await JSONResponse(_asker(HTTPConnection(scope)))(scope, receive, send)
    elif scope["type"] == "websocket":
        await _answer(WebSocket(scope, receive, send))


def _asker(connection: HTTPConnection) -> dict[str, object]:
    """The user's public face and the credential's kind; None twice when nobody asks."""
    identity = connection.scope["sigra.identity"]
    if identity is None:
        return {"user": None, "method": None}
    return {"user": identity.user.public(), "method": identity.method}


async def _answer(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        await websocket.send_json(_asker(websocket))

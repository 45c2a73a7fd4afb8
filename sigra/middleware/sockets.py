"""WebSockets outlive what was true at their handshake: their identity is looked up again."""

from __future__ import annotations

from starlette.types import Message, Receive, Scope, Send

from sigra.errors import SigraError, Unavailable
from sigra.middleware.paths import set_identity
from sigra.middleware.resolver import Resolver
from sigra.models import Identity
from sigra.protocols import Auth

CLOSE_UNAUTHENTICATED, CLOSE_FORBIDDEN, CLOSE_LATER = 4401, 4403, 1013
"""The private range of RFC 6455, section 7.4.2; 1013 "try again later" from its registry."""


class OpenSocket:
    """An open socket's identity, looked up again before a message that arrives later."""

    def __init__(self, resolver: Resolver, auth: Auth, scope: Scope, receive: Receive, send: Send) -> None:
        self._resolver, self._auth = resolver, auth
        self._scope, self._receive, self._send = scope, receive, send
        self._checked = auth.clock()

    async def receive(self) -> Message:
        message = await self._receive()
        now = self._auth.clock()
        fresh = now - self._checked <= self._auth.settings.websocket_recheck
        if message["type"] != "websocket.receive" or fresh:
            return message
        code = await self._look()
        if code is None:
            self._checked = now
            return message
        await self._send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}

    async def _look(self) -> int | None:
        """The code to close with; None while the same credential is good."""
        before: Identity = self._scope["sigra.identity"]
        try:
            resolved = await self._resolver.resolve(self._scope)
        except Unavailable:
            return CLOSE_LATER
        except SigraError:
            return CLOSE_UNAUTHENTICATED
        identity = resolved.identity
        if identity is None or (identity.method, identity.credential_id) != (before.method, before.credential_id):
            return CLOSE_UNAUTHENTICATED
        set_identity(self._scope, identity, self._auth.settings.starlette_user)
        return None

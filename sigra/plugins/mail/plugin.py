"""The plugin `mail`: delivers what no other plugin delivers, and in development shows what was sent."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.messages import RenderedMessage
from sigra.plugins.mail.mailbox import TEMPLATES, Mailbox
from sigra.plugins.mail.options import Options
from sigra.plugins.mail.senders import NOBODY, Nobody, Sender, sender_for
from sigra.protocols import Auth

_log = logging.getLogger("sigra.mail")


class Mail:
    """Sends mail."""

    name = "mail"
    api = 1
    Settings = Options

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)
        self._mailbox = Mailbox()
        self._sender: Sender = Nobody()

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        self._sender = sender_for(auth.settings, self.settings)
        return self._mailbox.routes(auth) if auth.settings.development else []

    @hookimpl
    def register_resources(self, auth: Auth) -> Sequence[AbstractAsyncContextManager[object]]:
        return [self._warning()]

    @asynccontextmanager
    async def _warning(self) -> AsyncIterator[None]:
        if isinstance(self._sender, Nobody):
            _log.warning("%s.", NOBODY)
        yield

    @hookimpl(specname="send_message", tryfirst=True)
    async def keep_message(self, auth: Auth, message: RenderedMessage) -> bool | None:
        """Keep what is sent, whoever sends it, for the mailbox."""
        if auth.settings.development:
            self._mailbox.add(message)
        return None

    @hookimpl(trylast=True)
    async def send_message(self, message: RenderedMessage) -> bool | None:
        await self._sender.send(message)
        return True

    @hookimpl
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        # A form posted there by mistake is refused elsewhere: the mailbox has none.
        if page not in TEMPLATES or "error" in context:
            return None
        return await auth.render(request, TEMPLATES[page], context, status)

"""What is done with a row of the outbox: a request is answered by its plugin, a message rendered and sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import hookspecs
from sigra.db.engine import Database
from sigra.db.single_use import SingleUseTokens
from sigra.db.users import UserTable
from sigra.hooks import Calls
from sigra.mail import Outbox, Waiting
from sigra.mail.rendering import MailRenderer
from sigra.messages import RenderedMessage
from sigra.models import User
from sigra.protocols import Auth


@dataclass(frozen=True)
class Delivery:
    """Takes rows of the outbox to their end."""

    auth: Auth
    calls: Calls
    db: Database
    users: UserTable
    tokens: SingleUseTokens
    outbox: Outbox
    renderer: MailRenderer
    clock: Callable[[], datetime]

    async def answer(self, waiting: Waiting) -> None:
        """Have a request answered, once: it leaves the table in the transaction of its answer."""
        await self.db.transaction(partial(self._answer, waiting=waiting))

    async def _answer(self, tx: AsyncConnection, waiting: Waiting) -> None:
        if await self.outbox.done(tx, waiting.id):
            await self.calls.each(self.auth, hookspecs.answer_mail_request, tx=tx, request=waiting.request)

    async def deliver(self, waiting: Waiting) -> None:
        """Render a message, send it, and take it out of the table."""
        if waiting.mint is None or waiting.created_at + waiting.mint.lifetime > self.clock():
            user = None if waiting.user_id is None else await self.users.by_id(waiting.user_id)
            secrets = await self._secrets(waiting)
            message = self._rendered(waiting, user, secrets)
            if not await self.calls.first(self.auth, hookspecs.send_message, message=message):
                raise LookupError("no plugin sends mail")
        await self.db.transaction(partial(self.outbox.done, id=waiting.id))

    async def _secrets(self, waiting: Waiting) -> dict[str, Any]:
        """The token of a message: made good once, and said again when it is sent again."""
        mint = waiting.mint
        if mint is None:
            return {}
        derived = self.tokens.derived(mint.purpose, waiting.id)
        if waiting.minted_at is None:

            async def make_good(tx: AsyncConnection) -> None:
                if await self.outbox.note_minted(tx, waiting.id):
                    await self.tokens.issue_derived(tx, mint, waiting.user_id, derived)

            await self.db.transaction(make_good)
        secrets = {"token": derived.token, "link": f"{self.auth.url_for(mint.page)}#token={derived.token}"}
        return {**secrets, "code": derived.code} if mint.code else secrets

    def _rendered(self, waiting: Waiting, user: User | None, secrets: dict[str, Any]) -> RenderedMessage:
        settings = self.auth.settings
        host = urlsplit(settings.base_url).hostname or ""
        context = {**waiting.context, **secrets, "auth": self.auth, "user": user, "host": host, "message": waiting}
        subject, text, html = self.renderer.render(waiting.kind, context)
        return RenderedMessage(
            kind=waiting.kind,
            message_id=f"{waiting.id}@{host}",
            recipient=waiting.recipient,
            subject=subject,
            language="en",
            text=text,
            html=html,
            created_at=waiting.created_at,
        )

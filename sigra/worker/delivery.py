"""What is done with a row of the outbox: a request is answered by its plugin, a message rendered and sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import hookspecs
from sigra.db.engine import Database
from sigra.db.single_use import Derived, SingleUseTokens
from sigra.db.users import UserTable
from sigra.hooks import Calls
from sigra.mail import Outbox, Waiting
from sigra.mail.rendering import MailRenderer
from sigra.messages import Mint, RenderedMessage, Undelivered
from sigra.models import User
from sigra.protocols import Auth
from sigra.settings import Settings

_log = logging.getLogger("sigra.worker")


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
        if await self.outbox.done(tx, waiting):
            await self.calls.each(self.auth, hookspecs.answer_mail_request, tx=tx, request=waiting.request)

    async def deliver(self, waiting: Waiting) -> None:
        """Render a message, send it, and take it out of the table."""
        secrets = await self._secrets(waiting)
        if secrets is None:
            _log.info("message %s %s is dropped: its link was used, replaced or has ended", waiting.kind, waiting.id)
        else:
            await self._send(waiting, secrets)
        await self.db.transaction(partial(self.outbox.done, waiting=waiting))

    async def _send(self, waiting: Waiting, secrets: Mapping[str, Any]) -> None:
        user = None if waiting.user_id is None else await self.users.by_id(waiting.user_id)
        message = self._rendered(waiting, user, secrets)
        if not await self.calls.first(self.auth, hookspecs.send_message, message=message):
            raise Undelivered("no plugin sends mail")

    async def _secrets(self, waiting: Waiting) -> Mapping[str, Any] | None:
        """What the template is given: nothing for a message without a token, None for one whose token has ended."""
        mint = waiting.mint
        if mint is None:
            return {}
        made = await self.db.transaction(partial(self._made_good, waiting=waiting, mint=mint))
        if made is None:
            return None
        secrets = {"token": made.token, "link": f"{self.auth.url_for(mint.page)}#token={made.token}"}
        return {**secrets, "code": made.code} if mint.code else secrets

    async def _made_good(self, tx: AsyncConnection, waiting: Waiting, mint: Mint) -> Derived | None:
        """The token of a message: made good once, and said again when it is sent again, while it stays unspent."""
        if not await self.outbox.note_minted(tx, waiting):
            return await self.tokens.standing(tx, mint.purpose, waiting.id)
        if waiting.created_at + mint.lifetime <= self.clock():
            return None
        return await self.tokens.issue_derived(tx, mint, waiting.user_id, waiting.id, waiting.created_at)

    def _rendered(self, waiting: Waiting, user: User | None, secrets: Mapping[str, Any]) -> RenderedMessage:
        settings = self.auth.settings
        host = urlsplit(settings.base_url).hostname or ""
        language = self.renderer.catalogues.preferred(None if user is None else user.locale, waiting.languages)
        context = {
            **waiting.context,
            **secrets,
            "auth": self.auth,
            "user": user,
            "host": host,
            "home": settings.base_url,
            "product": _product(settings) or host,
            "message": waiting,
        }
        said = self.renderer.render(waiting.kind, language, context)
        return RenderedMessage(
            kind=waiting.kind,
            # An IPv6 address is a literal (RFC 5322, section 3.6.4).
            message_id=f"{waiting.id}@{f'[{host}]' if ':' in host else host}",
            recipient=waiting.recipient,
            subject=said.subject,
            language=language,
            text=said.text,
            html=said.html,
            created_at=waiting.created_at,
        )


def _product(settings: Settings) -> str:
    """What the pages call the application, when there are pages."""
    return str(getattr(getattr(settings, "pages", None), "title", ""))

"""What the tests of later work let be sent: a plugin that mails whoever asks, and a sender that fails when told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from jinja2 import BaseLoader, DictLoader
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sigra import Auth, MailRequest, Message, Mint, RenderedMessage, Route, Sigra, hookimpl
from tests.apps import Postbox

LIFETIME = timedelta(minutes=30)

RING = """{% extends face %}{% from face import p, button, code as big %}{% set digits = code %}
{% block subject %}A bell rings{% endblock %}
{% block content %}{{ p("Ring it.") }}{{ button("Ring", link) }}{{ big(digits) }}{% endblock %}
"""
CHIME = "{% extends face %}{% block subject %}A chime{% endblock %}{% block content %}Just so.{% endblock %}"


class Bell:
    """Answers who asks for a bell by a mail with a link and a code; nobody is looked up."""

    name, api = "bell", 1

    @hookimpl
    def register_templates(self) -> Sequence[BaseLoader]:
        return [DictLoader({"mail/ring.jinja": RING, "mail/chime.jinja": CHIME})]

    @hookimpl
    def register_routes(self) -> Sequence[Route]:
        async def show(request: Request) -> Response:
            return PlainTextResponse("Ring it.")

        return [Route("/bell", show, name="bell")]

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose == "bell":
            await auth.send(tx, ring(request.address))


def ring(address: str) -> Message:
    mint = Mint("bell", "bell", LIFETIME, {"for": address}, subject=address, code=True)
    return Message("ring", address, mint=mint)


class Moody(Postbox):
    """Takes a message, and then raises what it was told to, once each: the line breaks after the last word."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.moods = list(errors)

    @hookimpl
    async def send_message(self, message: RenderedMessage) -> bool:
        self.messages.append(message)
        if self.moods:
            raise self.moods.pop(0)
        return True


def token_and_code(text: str) -> tuple[str, str]:
    """What a message of the bell carries."""
    found = re.search(r"#token=(\S{43})\s.*?\s(\d{8})\s", text, re.DOTALL)
    assert found
    return found[1], found[2]


async def ask(auth: Sigra, address: str = "ada@example.com", purpose: str = "bell") -> None:
    await auth.db.transaction(lambda tx: auth.request_mail(tx, MailRequest(purpose, address)))


async def send(auth: Sigra, message: Message) -> None:
    await auth.db.transaction(lambda tx: auth.send(tx, message))


async def spend(auth: Sigra, token: str) -> Any:
    return await auth.db.transaction(lambda tx: auth.tokens.spend(tx, "bell", token))


async def rows(auth: Sigra, table: str = "sigra_outbox") -> list[Any]:
    async with auth.db.connect() as tx:
        return list(await tx.execute(select(auth.metadata.tables[table])))


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 2.5) -> None:
    """Let others work until something holds; the limit is half of what the worker would wait by itself."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110  (what is waited for is in the database, which tells nobody)
            await asyncio.sleep(0)


async def is_empty(auth: Sigra) -> bool:
    return await rows(auth) == []


async def dump(auth: Sigra) -> str:
    """Every value of every table, as text."""
    return repr([await rows(auth, table.name) for table in auth.metadata.sorted_tables])

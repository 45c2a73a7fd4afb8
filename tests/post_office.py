"""A mail server of the tests' own: it takes what it is sent, unless it is told to be difficult."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class PostOffice:
    """What arrived, and how the server behaves.

    `replies` is what it says instead of yes, by step: `MAIL`, `RCPT`, `DATA`, `QUIT`; `hangs_up` and `waits` at one of
    these. Every answer comes `delay` seconds late.
    """

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.encrypted: list[bool] = []
        self.names: list[str] = []
        self.replies: dict[str, str] = {}
        self.hangs_up = self.waits = ""
        self.connections = 0
        self.delay = 0.0
        self.host, self.port = "127.0.0.1", 0

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    @property
    def letters(self) -> list[EmailMessage]:
        """What arrived, read as a mail client does."""
        found = [message_from_bytes(envelope.original_content, policy=default) for envelope in self.envelopes]
        return [letter for letter in found if isinstance(letter, EmailMessage)]

    async def _step(self, server: SMTP, step: str) -> str:
        if self.hangs_up == step:
            server.transport.abort()
        await asyncio.sleep(self.delay)
        if self.waits == step:
            await asyncio.Event().wait()
        return self.replies.get(step, "250 OK")

    async def handle_EHLO(  # noqa: N802  (aiosmtpd calls it so)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        self.names.append(hostname)
        return responses

    async def handle_MAIL(  # noqa: N802  (aiosmtpd calls it so)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._step(server, "MAIL")
        envelope.mail_from, envelope.mail_options = address, [*envelope.mail_options, *options]
        return reply

    async def handle_RCPT(  # noqa: N802  (aiosmtpd calls it so)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._step(server, "RCPT")
        envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = await self._step(server, "DATA")
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        if reply.startswith("250") and self.hangs_up != "DATA":
            self.envelopes.append(envelope)
        return reply

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return await self._step(server, "QUIT")

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        self.logins.append((data.login, data.password))
        if data == LoginPassword(b"app", "gehe\u0131m/#1".encode()):
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 No {data.login!r} {data.password!r}")


class Server(Controller):
    """Our server on a free port; one that hangs up after `DATA` does so with the first line in its hands."""

    handler: PostOffice

    def factory(self) -> SMTP:
        return Impatient(self.handler, loop=self.loop, **self.SMTP_kwargs)


class Impatient(SMTP):
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if self.event_handler.hangs_up == "line":
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


@contextmanager
def open_office(**options: Any) -> Iterator[PostOffice]:
    office = PostOffice()
    with socket.socket() as free:
        free.bind((office.host, 0))
        office.port = free.getsockname()[1]
    server = Server(
        office, office.host, office.port, **{"authenticator": office.authenticate, "enable_SMTPUTF8": True, **options}
    )
    server.start()
    try:
        yield office
    finally:
        server.stop()


class Authority:
    """Who vouches for the server, and what the server shows."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.file)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "0.0.0.0", "localhost").configure_cert(self.context)

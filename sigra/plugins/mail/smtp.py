"""Mail by SMTP: one connection a message, encrypted wherever there is a network, and done within a time limit."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from email.headerregistry import Address

import aiosmtplib

from sigra.messages import RenderedMessage, Undeliverable, Undelivered
from sigra.plugins.mail.letters import letter, recipient_of
from sigra.plugins.mail.options import MailServer

OPTION = "SIGRA_MAIL__URL"

FAREWELL = 2.0
"""Seconds that the server may take to say goodbye, after it took the message."""

NOT_LET_IN = frozenset({530, 534, 535, 538})
"""Replies that ask for another authentication (RFC 4954, section 6)."""


class SMTPSender:
    """Hands messages to a server.

    Args:
        sender: Who they come from.
        name: What we call ourselves (EHLO): a host name or an address literal.
        limit: Seconds that one delivery may take.
        tls: How the server's certificate is checked.
    """

    def __init__(self, server: MailServer, sender: Address, name: str, limit: float, tls: ssl.SSLContext) -> None:
        self._server, self._sender, self._name, self._limit, self._tls = server, sender, name, limit, tls

    async def send(self, message: RenderedMessage) -> None:
        """Deliver a message.

        Raises:
            Undeliverable: The server refuses it for good.
            Undelivered: Anything else.
        """
        recipient = recipient_of(message)
        server = self._connection()
        try:
            async with asyncio.timeout(self._limit):
                await server.connect()
                await self._hand_over(server, message, recipient)
            # It is the server's now: what goes wrong from here on is no reason to send it again.
            with suppress(aiosmtplib.SMTPException, OSError):
                await server.quit(timeout=min(FAREWELL, self._limit))
        except TimeoutError:
            raise Undelivered(f"the mail server took longer than {self._limit:g} s") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _told(error) from None
        finally:
            server.close()

    def _connection(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls,
            # None: when offered. Without it nothing goes over a network, least of all a password.
            start_tls=False if server.tls else None if server.is_here else True,
            tls_context=self._tls,
            local_hostname=self._name,
            timeout=self._limit,
        )

    async def _hand_over(self, server: aiosmtplib.SMTP, message: RenderedMessage, recipient: str) -> None:
        written = letter(message, self._sender, recipient)
        options = [] if recipient.isascii() else ["SMTPUTF8"]
        if options and not server.supports_extension("smtputf8"):
            raise Undeliverable("the mail server takes no address that is not ASCII")
        await server.sendmail(self._sender.addr_spec, [recipient], written, mail_options=options)


def _told(error: Exception) -> Undelivered:
    """What an operator is told: never a text of the server's, which may repeat what it was sent."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        [error] = error.recipients
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) or code in NOT_LET_IN:
        return Undelivered(f"the mail server does not let us in ({code}): mend the user and password of {OPTION}")
    if isinstance(error, aiosmtplib.SMTPSenderRefused):
        return Undelivered(f"the mail server refused the sender ({code}): mend SIGRA_MAIL__SENDER")
    if isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError) and code >= 500:
        return Undeliverable(f"the mail server refused the recipient or the message ({code})")
    if code:
        return Undelivered(f"the mail server said no for now ({code})")
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Undelivered(f"the mail server's certificate or TLS is not right: mend {OPTION} or SIGRA_MAIL__CA_FILE")
    return Undelivered(f"the mail server of {OPTION} cannot be used ({type(error).__name__})")

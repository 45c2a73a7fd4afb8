"""Who delivers: a server, the terminal, or nobody yet."""

from __future__ import annotations

import ssl
import sys
from email.headerregistry import Address
from typing import Protocol
from urllib.parse import urlsplit

from sigra.errors import ConfigurationError
from sigra.messages import RenderedMessage, Undelivered
from sigra.plugins.mail.options import Options
from sigra.plugins.mail.smtp import OPTION, SMTPSender
from sigra.settings import Settings, is_loopback

NOBODY = f"{OPTION} is not set: mail waits in the outbox until it is (smtp://user:password@host:port)"


class Sender(Protocol):
    """Delivers a message, or raises."""

    async def send(self, message: RenderedMessage) -> None: ...


class Console:
    """Prints messages, with the secrets in them: for one's own machine."""

    async def send(self, message: RenderedMessage) -> None:
        """Print a message."""
        lines = [f"To: {message.recipient}", f"Subject: {message.subject}", "", message.text]
        sys.stdout.write("\n".join(["", f"---- mail: {message.kind} ----", *lines]) + "\n")
        sys.stdout.flush()


class Nobody:
    """Leaves messages in the outbox."""

    async def send(self, message: RenderedMessage) -> None:
        """Say what to do."""
        raise Undelivered(NOBODY)


def sender_for(settings: Settings, options: Options) -> Sender:
    """Who delivers.

    Raises:
        ConfigurationError: The options do not fit the others.
    """
    host = urlsplit(settings.base_url).hostname or ""
    server = options.server
    if server is not None:
        sender = options.address or _own(host)
        return SMTPSender(server, sender, _greeting(host), options.timeout.total_seconds(), _tls(options))
    if options.url is None and not settings.development:
        return Nobody()
    if not is_loopback(host):
        raise ConfigurationError(
            f"{OPTION} is console:, which writes mailed secrets where the output goes, but SIGRA_BASE_URL is not on "
            "localhost: set it to a mail server, as in smtp://user:password@host:port."
        )
    return Console()


def _own(host: str) -> Address:
    """The sender where nobody else would believe it, or could answer."""
    if not is_loopback(host):
        raise ConfigurationError(
            "SIGRA_MAIL__SENDER is not set: set it to the address that mail comes from, "
            "as in Example <no-reply@example.com>."
        )
    return Address("", "no-reply", host if host.endswith("localhost") else "localhost")


def _greeting(host: str) -> str:
    """The host as EHLO names it (RFC 5321, section 4.1.3)."""
    if ":" in host:
        return f"[IPv6:{host}]"
    return f"[{host}]" if host.replace(".", "").isdigit() else host


def _tls(options: Options) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ValueError):
        raise ConfigurationError(
            f"SIGRA_MAIL__CA_FILE: {options.ca_file} holds no certificates that can be read: name a PEM file."
        ) from None

"""Where mail goes and who it comes from: the options of the plugin `mail`, and what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from email.headerregistry import Address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from email_validator import validate_email
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from sigra.settings import is_loopback

CONSOLE = "console"

PORTS = {"smtp": 587, "smtps": 465}
"""Of submission, which is what an application does (RFC 6409, section 3.1; RFC 8314, section 7.3)."""

_NAMED = re.compile(r"(?:(?P<name>[^<>]*?) *<)?(?P<address>[^<> ]+)(?(name)>)")

_FORM = "write it as console:, smtp://user:password@host:port or smtps://…, user and password percent-encoded"


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes mail.

    Args:
        tls: Whether it speaks TLS from the first byte.
    """

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def is_here(self) -> bool:
        """Whether no network is on the way to it."""
        return is_loopback(self.host)


class Options(BaseModel):
    """Where mail goes, and who it comes from.

    Args:
        url: `console:`, `smtp://user:password@host:port` (STARTTLS when offered, demanded outside loopback) or
            `smtps://…`. When not set, mail waits in the outbox; with `development` it goes to the console.
        sender: An address, or `Name <address>`.
        timeout: What the delivery of one mail may take.
        ca_file: Certificates (PEM) that the mail server's is checked against, in place of the system's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr | None = None
    sender: str | None = None
    timeout: timedelta = Field(default=timedelta(seconds=30), gt=timedelta(0), le=timedelta(seconds=50))
    ca_file: Path | None = None

    @property
    def server(self) -> MailServer | None:
        """What the URL names; None for the console, or when there is none."""
        parts = urlsplit("" if self.url is None else self.url.get_secret_value())
        return _server(parts) if parts.scheme in PORTS else None

    @property
    def address(self) -> Address | None:
        """Who mail comes from."""
        return None if self.sender is None else _address(self.sender)

    @field_validator("url")
    @classmethod
    def _known(cls, url: SecretStr | None) -> SecretStr | None:
        # What the library says of a URL may quote it.
        try:
            known = url is None or _is_known(urlsplit(url.get_secret_value()))
        except ValueError:
            known = False
        if not known:
            raise ValueError(f"it is not understood; {_FORM}")
        return url

    @field_validator("sender")
    @classmethod
    def _one_address(cls, text: str | None) -> str | None:
        if text is not None:
            _address(text)
        return text

    @field_validator("ca_file")
    @classmethod
    def _file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("it must be a file that exists; create it, or leave it out")
        return path


def _is_known(parts: SplitResult) -> bool:
    if parts.scheme == CONSOLE:
        return not (parts.netloc or parts.path or parts.query or parts.fragment)
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment
    both = (parts.username is None) == (parts.password is None)
    return plain and both and parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0


def _server(parts: SplitResult) -> MailServer:
    assert parts.hostname is not None
    user, password = (None if text is None else unquote(text) for text in (parts.username, parts.password))
    return MailServer(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme == "smtps", user, password)


def _address(text: str) -> Address:
    found = _NAMED.fullmatch(text.strip()) if text.isprintable() else None
    if found is None:
        raise ValueError("it must be one address, or Name <address>")
    name = (found["name"] or "").strip().removeprefix('"').removesuffix('"')
    local, domain = _checked(found["address"])
    return Address(name, local, domain)


def _checked(address: str) -> tuple[str, str]:
    """The local part and the domain in ASCII. A domain without a dot is one's own machine or network."""
    found = validate_email(address, check_deliverability=False, test_environment=True, globally_deliverable=False)
    if not found.local_part.isascii():
        raise ValueError("before the @ it must be ASCII, which every server takes")
    return found.local_part, found.ascii_domain

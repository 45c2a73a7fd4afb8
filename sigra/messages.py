"""What is said to whom, and what may be asked to be said; nothing secret is in either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sigra.models import User


@dataclass(frozen=True, slots=True)
class Mint:
    """A single-use token that is made when its message is rendered, so that no table holds it in the clear.

    The message's template has it as `token`, as `link` (the page with the token in its fragment, which no server and no
    `Referer` sees: RFC 9110, section 10.1.3), and with `code` as `code`, eight digits.

    Args:
        purpose: The slot that takes it; no other does.
        page: The name of the route whose page takes it.
        lifetime: From when it is made; a message not delivered within it is dropped.
        payload: What spending it gives; JSON values.
        subject: A new one ends the old one of the same purpose and subject; the id of the message's user when omitted.
        code: Whether a code is made beside it, for a mail that is read elsewhere.
    """

    purpose: str
    page: str
    lifetime: timedelta
    payload: Mapping[str, Any] = field(default_factory=dict)
    subject: str | None = None
    code: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One mail to one recipient.

    Args:
        kind: Its template is `mail/<kind>.jinja`, its header `X-Sigra-Message`.
        recipient: The address as stored.
        user: Whose account it is about: it chooses the language, and the message goes when the account goes. None for
            what must outlive the account, or where there is none.
        context: Values for the template; JSON values, never a secret.
        mint: The token that the message carries.
        languages: What the reader asked for, as in `Accept-Language`, after the user's own choice; the present
            request's when omitted.
    """

    kind: str
    recipient: str
    user: User | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    mint: Mint | None = None
    languages: str | None = None


@dataclass(frozen=True, slots=True)
class MailRequest:
    """Somebody asks for a mail to an address; whether there is one to send is decided later, after the answer.

    So the work of a request is the same whether or not the address has an account.

    Args:
        purpose: What is asked for; its plugin answers it.
        address: As typed. Mail goes to the address as it is stored, never to this one.
        context: What its plugin will need; JSON values, never a secret.
        languages: As in `Accept-Language`; the present request's when omitted.
    """

    purpose: str
    address: str
    context: Mapping[str, Any] = field(default_factory=dict)
    languages: str | None = None


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """A message as it is sent; it may hold secrets, so that no `repr` shows its text.

    Args:
        message_id: Without angle brackets; the same each time that the message is sent (RFC 5322, section 3.6.4).
        language: The tag of the language that it is written in.
        text: For a plain client.
        html: The same for others.
    """

    kind: str
    message_id: str
    recipient: str = field(repr=False)
    subject: str
    language: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    created_at: datetime


class Undelivered(Exception):
    """Raised by `send_message` when a message cannot be delivered now; says why, without anything secret."""


class Undeliverable(Undelivered):
    """Raised by `send_message` for what no later try can deliver either."""

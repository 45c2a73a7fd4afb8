"""A message as it travels: one sender, one recipient, text and HTML (RFC 5322, RFC 2046)."""

from __future__ import annotations

from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from sigra.addresses import mailbox_of
from sigra.messages import RenderedMessage, Undeliverable

LINE_LIMIT = 998
"""Characters of a line (RFC 5322, section 2.1.1)."""

ENCODED_WORD = "=?"
"""How text begins that stands for another (RFC 2047, section 2)."""


def recipient_of(message: RenderedMessage) -> str:
    """Where a message goes: its address as stored, the domain in its ASCII form.

    Raises:
        Undeliverable: It is not one address.
    """
    try:
        return "@".join(mailbox_of(message.recipient))
    except ValueError:
        raise Undeliverable("the recipient is not one address that mail can be sent to") from None


def letter(message: RenderedMessage, sender: Address, recipient: str) -> bytes:
    """A message with its headers, in ASCII but for an address that cannot be (RFC 6532)."""
    headers = {
        "From": formataddr((sender.display_name, sender.addr_spec)),
        "To": recipient,
        "Subject": message.subject,
        "Date": format_datetime(message.created_at),
        "Message-ID": f"<{message.message_id}>",
        # No out-of-office note answers it (RFC 3834, section 5).
        "Auto-Submitted": "auto-generated",
        "X-Sigra-Message": message.kind,
        "Content-Language": message.language,
    }
    # Written here: the library reads a header before it writes it, and finds encoded words in what was typed.
    lines = [f"{name}: {_value(name, value)}\r\n" for name, value in headers.items()]
    return "".join(lines).encode() + _content(message)


def _value(name: str, text: str) -> str:
    """A header's value: addresses on one line, all else in ASCII and folded (RFC 2047; RFC 5322, section 2.2.3)."""
    line = " ".join("".join(char for char in text if char.isprintable() or char.isspace()).split())
    if name in ("From", "To"):
        return line
    plain = line.isascii() and ENCODED_WORD not in line
    return Header(line, "us-ascii" if plain else "utf-8", header_name=name).encode(linesep="\r\n")


def _content(message: RenderedMessage) -> bytes:
    content = EmailMessage(policy=SMTP)
    content.set_content(message.text, cte=_encoding(message.text))
    content.add_alternative(message.html, subtype="html", cte=_encoding(message.html))
    return content.as_bytes()


def _encoding(text: str) -> str:
    """As it is where every server takes it, so that a link is not broken; else quoted-printable (RFC 2045, 6.7)."""
    short = all(len(line) <= LINE_LIMIT for line in text.splitlines())
    return "7bit" if short and text.isascii() else "quoted-printable"

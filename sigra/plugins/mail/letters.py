"""A message as it travels: one sender, one recipient, text and HTML (RFC 5322, RFC 2046)."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from sigra.addresses import mailbox_of
from sigra.messages import RenderedMessage, Undeliverable

LINE_LIMIT = 998
"""Characters of a line (RFC 5322, section 2.1.1)."""


def recipient_of(message: RenderedMessage) -> Address:
    """Where a message goes: its address as stored, the domain in its ASCII form (RFC 5890, section 2.3.2.1).

    Raises:
        Undeliverable: It is not one address.
    """
    try:
        local, domain = mailbox_of(message.recipient)
    except ValueError:
        raise Undeliverable("the recipient is not one address that mail can be sent to") from None
    return Address(username=local, domain=domain)


def letter(message: RenderedMessage, sender: Address, recipient: Address) -> EmailMessage:
    """A message with its headers, in ASCII but for an address that cannot be (RFC 6532)."""
    letter = EmailMessage(policy=SMTP if recipient.username.isascii() else SMTPUTF8)
    letter["From"] = sender
    letter["To"] = recipient
    letter["Subject"] = " ".join(message.subject.split())
    letter["Date"] = message.created_at
    letter["Message-ID"] = f"<{message.message_id}>"
    # No out-of-office note answers it (RFC 3834, section 5).
    letter["Auto-Submitted"] = "auto-generated"
    letter["X-Sigra-Message"] = message.kind
    letter.set_content(message.text, cte=_encoding(message.text))
    letter.add_alternative(message.html, subtype="html", cte=_encoding(message.html))
    letter["Content-Language"] = message.language
    return letter


def _encoding(text: str) -> str:
    """As it is where every server takes it, so that a link is not broken; else quoted-printable (RFC 2045, 6.7)."""
    short = all(len(line) <= LINE_LIMIT for line in text.splitlines())
    return "7bit" if short and text.isascii() else "quoted-printable"

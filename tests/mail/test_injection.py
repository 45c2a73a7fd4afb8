"""Whatever is typed: a server sees one recipient, the one that was typed, and no header that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from sigra import Undeliverable
from sigra.addresses import mailbox_of, typed_email
from sigra.plugins.mail.letters import letter, recipient_of
from sigra.plugins.mail.options import Options
from sigra.plugins.mail.senders import Sender, sender_for
from sigra.testing import cheap_settings
from tests.mail.test_smtp import message
from tests.post_office import PostOffice, open_office

HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Sigra-Message",
    "Content-Language",
    "MIME-Version",
    "Content-Type",
}
SENDER = Address("Sigra", "no-reply", "example.com")

locals_ = st.text(st.characters(codec="utf-8") | st.sampled_from("ab.+'!#,;<>\" \r\n\t\0@()\\"), max_size=12)
domains = st.sampled_from(["example.com", "b\u00fccher.example", "xn--bcher-kva.example", "EXAMPLE.com", "a.b.test"])
typed = st.builds("{}@{}".format, locals_, domains) | st.emails() | st.text(max_size=30)


@pytest.fixture(scope="module")
def office() -> Iterator[PostOffice]:
    with open_office() as opened:
        yield opened


@pytest.fixture(scope="module")
def sender(office: PostOffice) -> Sender:
    return sender_for(cheap_settings(), Options(url=SecretStr(office.url)))


@settings(max_examples=60)
@given(st.tuples(typed, typed).map(", ".join) | typed)
@example("ada@example.com\r\nRCPT TO:<eve@example.org>")
@example("ada@example.com> <eve@example.org")
@example("ada@example.com,eve@example.org")
@example("j\u00fcrgen@b\u00fccher.example")
@example("o'brien+x@example.com")
@example("=?utf-8?q?eve=40example.org?=@example.com")
@example("u\u0308@example.com")
@example("\u00b4@example.com")
def test_hc07_the_server_sees_exactly_the_recipient_that_was_typed(office, sender, text):
    office.envelopes.clear()

    try:
        address = typed_email(text)
    except ValueError:
        with pytest.raises(Undeliverable):
            asyncio.run(sender.send(message(text)))
        assert office.envelopes == []
        return

    asyncio.run(sender.send(message(address)))

    [envelope], [arrived] = office.envelopes, office.letters
    local, domain = mailbox_of(address)
    assert envelope.rcpt_tos == [f"{local}@{domain}"]
    assert local == address.rpartition("@")[0] and domain.isascii()
    assert f"\r\nTo: {local}@{domain}\r\n".encode() in envelope.original_content
    assert set(arrived) == HEADERS


@given(st.text(), st.text(), st.text())
@example("Hello\r\nBcc: eve@example.org", "\r\n.\r\nMAIL FROM:<eve@example.org>", "")
@example("Hello\nBcc: eve@example.org\n\nbody", "\n.\n", "\r.\r")
@example("=?utf-8?q?=0d=0aBcc:_eve?=", "", "")
@example("\u2028Bcc: eve@example.org\x85Cc: eve@example.org\x0bX: y\x1cZ: w", "\u2028", "\x0c")
def test_hc07_no_text_becomes_a_header_or_a_recipient(subject, text, html):
    said = message(subject=subject, text=text, html=html)

    raw = letter(said, SENDER, recipient_of(said))

    read = message_from_bytes(raw, policy=default)
    assert set(read) == HEADERS and len(read) == len(HEADERS)
    assert [to.addr_spec for to in read["To"].addresses] == ["ada@example.com"]
    assert read["Subject"].isprintable() and "".join(read["Subject"].split()) == printable(subject)
    assert raw.isascii()
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]


def printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and not char.isspace())


@settings(max_examples=20)
@given(st.lists(st.sampled_from([".", "\r\n", "\n", "\r", "a", "MAIL FROM:<x@y.example>"]), max_size=12).map("".join))
@example("\r\n.\r\n")
@example("\n.\n")
@example("\r\n.\r")
@example("\n.\r\nRCPT TO:<eve@example.org>\r\n")
def test_hc07_no_text_ends_the_message_before_its_end(office, sender, text):
    office.envelopes.clear()

    asyncio.run(sender.send(message(text=text)))

    [envelope], [arrived] = office.envelopes, office.letters
    assert envelope.rcpt_tos == ["ada@example.com"]
    plain, _ = arrived.iter_parts()
    assert plain.get_content().split() == text.split()

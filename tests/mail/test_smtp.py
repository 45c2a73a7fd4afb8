"""Mail by SMTP, to a real server that is friendly, careful, difficult or gone."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from sigra import RenderedMessage, Undeliverable, Undelivered
from sigra.plugins.mail.options import Options
from sigra.plugins.mail.senders import sender_for
from sigra.testing import cheap_settings

LINK = "https://example.com/auth/password/reset#token=" + "a-_0" * 10 + "abc"
TEXT = f"Hello,\n\nopen this:\n{LINK}\n.\nSincerely\n"
HTML = f'<!doctype html><p>Hello, <a href="{LINK}">open this</a></p>'


def message(recipient: str = "ada@example.com", **values: Any) -> RenderedMessage:
    usual: dict[str, Any] = {
        "kind": "reset_password",
        "message_id": f"{uuid.UUID(int=7)}@localhost",
        "recipient": recipient,
        "subject": "A new password",
        "language": "en",
        "text": TEXT,
        "html": HTML,
        "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    return RenderedMessage(**{**usual, **values})


async def send(url: str, said: RenderedMessage | None = None, **options: Any) -> None:
    made = Options(url=SecretStr(url), **options)
    await sender_for(cheap_settings(), made).send(said or message())


def with_login(url: str, password: str = "gehe%C4%B1m%2F%231") -> str:
    return url.replace("://", f"://app:{password}@")


# What arrives


async def test_a_mail_arrives_as_text_and_as_html(office):
    await send(office.url, sender="Sigra <no-reply@example.com>")

    [envelope], [letter] = office.envelopes, office.letters
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@example.com", ["ada@example.com"])
    assert letter.get_content_type() == "multipart/alternative"
    text, html = letter.iter_parts()
    assert (text.get_content_type(), text.get_content().replace("\r\n", "\n")) == ("text/plain", TEXT)
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", HTML)


async def test_the_headers_say_what_they_should(office):
    await send(
        office.url, message(language="de", subject="Ein neues Paßwort \u2013 für Sie"), sender="A B <a@b.example>"
    )

    [letter] = office.letters
    assert letter["From"] == "A B <a@b.example>"
    assert letter["To"] == "ada@example.com"
    assert letter["Subject"] == "Ein neues Paßwort \u2013 für Sie"
    assert letter["Message-ID"] == "<00000000-0000-0000-0000-000000000007@localhost>"
    assert letter["Date"].datetime == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert letter["X-Sigra-Message"] == "reset_password"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Content-Language"] == "de"
    assert {name for name in letter if letter.get_all(name) != [letter[name]]} == set()


async def test_every_octet_is_ascii_and_a_link_stays_in_one_piece(office):
    await send(office.url)
    await send(office.url, message(text=f"Grüße\n{'ü' * 2000}\n{LINK}\n", html="<p>ü</p>" * 500))

    plain, other = office.envelopes
    assert LINK.encode() in plain.original_content
    for envelope in (plain, other):
        assert envelope.original_content.isascii()
        assert max(map(len, envelope.original_content.splitlines())) <= 998
    text, html = office.letters[1].iter_parts()
    assert f"\n{LINK}\n" in text.get_content().replace("\r\n", "\n")
    assert html.get_content().count("<p>ü</p>") == 500


async def test_on_ones_own_machine_the_sender_need_not_be_named(office):
    await send(office.url)

    assert office.letters[0]["From"] == "no-reply@localhost"
    assert office.names == ["localhost"]


async def test_a_domain_travels_in_its_ascii_form(office):
    await send(office.url, message("Ada.L+x@b\u00fccher.example.com"))

    assert office.envelopes[0].rcpt_tos == ["Ada.L+x@xn--bcher-kva.example.com"]
    assert office.letters[0]["To"] == "Ada.L+x@xn--bcher-kva.example.com"


async def test_an_address_that_is_not_ascii_needs_a_server_that_takes_it(office):
    await send(office.url, message("j\u00fcrgen@b\u00fccher.example.com"))

    assert office.envelopes[0].rcpt_tos == ["j\u00fcrgen@xn--bcher-kva.example.com"]
    assert office.letters[0]["To"] == "j\u00fcrgen@xn--bcher-kva.example.com"


async def test_an_address_that_is_not_ascii_and_that_the_server_does_not_take_is_given_up(opening):
    with opening(enable_SMTPUTF8=False) as office, pytest.raises(Undeliverable, match="ASCII"):
        await send(office.url, message("j\u00fcrgen@example.com"))

    assert office.envelopes == []


@pytest.mark.parametrize(
    "recipient",
    [
        "ada@example.com, eve@example.org",
        "ada@example.com\r\nBcc: eve@example.org",
        "ada@example.com> RCPT TO:<eve@example.org",
        "Ada <ada@example.com>",
        "ada",
        "",
    ],
)
async def test_hc07_what_is_not_one_address_gets_no_mail(office, recipient):
    with pytest.raises(Undeliverable):
        await send(office.url, message(recipient))

    assert office.connections == 0


# Who may read it on the way


async def test_tls_is_used_where_it_is_offered(opening, authority):
    with opening(tls_context=authority.context) as office:
        await send(office.url, ca_file=authority.file)

    assert office.encrypted == [True]


async def test_a_server_may_speak_tls_from_the_first_byte(opening, authority):
    with opening(ssl_context=authority.context) as office:
        await send(office.url.replace("smtp:", "smtps:"), ca_file=authority.file)

    assert office.encrypted == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(opening, authority, scheme):
    context = {"tls_context" if scheme == "smtp" else "ssl_context": authority.context}
    with opening(**context) as office, pytest.raises(Undelivered, match="SIGRA_MAIL__CA_FILE"):
        await send(office.url.replace("smtp:", f"{scheme}:"))

    assert office.envelopes == []


async def test_hc21_over_a_network_nothing_goes_in_the_clear(opening, authority):
    # 0.0.0.0 leads here, but is not called so.
    with opening(auth_require_tls=False) as office:
        office.host = "0.0.0.0"
        with pytest.raises(Undelivered):
            await send(with_login(office.url), ca_file=authority.file)
        assert (office.envelopes, office.logins) == ([], [])

    with opening(tls_context=authority.context) as office:
        office.host = "0.0.0.0"
        await send(office.url, ca_file=authority.file)
        assert office.encrypted == [True]


async def test_a_server_lets_in_who_has_the_password(opening, authority):
    with opening(tls_context=authority.context, auth_required=True) as office:
        await send(with_login(office.url), ca_file=authority.file)

    assert len(office.envelopes) == 1
    assert office.logins == [(b"app", "gehe\u0131m/#1".encode())]


async def test_hc21_a_password_that_is_wrong_is_told_as_the_option_and_is_in_no_text(opening, authority):
    with (
        opening(tls_context=authority.context, auth_required=True) as office,
        pytest.raises(Undelivered, match="SIGRA_MAIL__URL") as refused,
    ):
        await send(with_login(office.url, "not-the-password"), ca_file=authority.file)

    assert office.envelopes == []
    assert "not-the-password" not in repr(refused.value) and "app" not in str(refused.value)
    assert type(refused.value) is Undelivered


async def test_a_server_that_wants_a_password_which_nobody_set_is_told_as_the_option(opening, authority):
    with (
        opening(tls_context=authority.context, auth_required=True) as office,
        pytest.raises(Undelivered, match="SIGRA_MAIL__URL") as refused,
    ):
        await send(office.url, ca_file=authority.file)

    assert type(refused.value) is Undelivered


async def test_a_server_without_authentication_is_told_as_the_option(office):
    with pytest.raises(Undelivered, match="SIGRA_MAIL__URL"):
        await send(with_login(office.url))

    assert office.envelopes == []


# What goes wrong


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_what_the_server_refuses_for_good_is_given_up(office, step):
    office.replies[step] = "550 5.1.1 No <ada@example.com> here"

    with pytest.raises(Undeliverable) as refused:
        await send(office.url)

    assert "550" in str(refused.value)
    assert "ada" not in str(refused.value)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("reply", ["450 4.2.1 Come back later", "421 4.3.2 Shutting down"])
async def test_what_the_server_refuses_for_now_is_tried_again(office, step, reply):
    office.replies[step] = reply

    with pytest.raises(Undelivered, match=reply[:3]) as refused:
        await send(office.url)

    assert type(refused.value) is Undelivered


async def test_a_sender_that_the_server_refuses_is_told_as_the_option(office):
    office.replies["MAIL"] = "553 5.1.8 Not yours"

    with pytest.raises(Undelivered, match="SIGRA_MAIL__SENDER") as refused:
        await send(office.url)

    assert type(refused.value) is Undelivered


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "line"])
async def test_hc45_a_server_that_hangs_up_is_tried_again(office, step):
    office.hangs_up = step

    [told] = await asyncio.gather(send(office.url), return_exceptions=True)

    assert type(told) is Undelivered
    assert office.envelopes == []


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_hc45_a_server_that_does_not_answer_is_waited_for_no_longer_than_the_limit(office, step):
    office.waits = step

    with pytest.raises(Undelivered, match=r"longer than 0\.2 s"):
        await send(office.url, timeout=timedelta(milliseconds=200))


async def test_hc45_a_server_whose_every_answer_is_slow_is_waited_for_no_longer_than_the_limit(office):
    office.delay = 0.15

    with pytest.raises(Undelivered, match=r"longer than 0\.4 s"):
        await send(office.url, timeout=timedelta(milliseconds=400))


@pytest.mark.parametrize("bad", [{"waits": "QUIT"}, {"hangs_up": "QUIT"}, {"replies": {"QUIT": "500 No"}}], ids=str)
async def test_hc45_what_the_server_took_is_not_sent_again_because_it_does_not_say_goodbye(office, bad):
    vars(office).update(bad)

    [told] = await asyncio.gather(send(office.url, timeout=timedelta(seconds=1)), return_exceptions=True)

    assert told is None
    assert len(office.envelopes) == 1


async def test_hc45_a_server_that_is_not_there_is_tried_again(office):
    gone = office.url.replace(str(office.port), "1")

    with pytest.raises(Undelivered, match="SIGRA_MAIL__URL"):
        await send(gone)


async def test_hc45_a_server_whose_name_is_not_known_is_tried_again():
    with pytest.raises(Undelivered, match="SIGRA_MAIL__URL"):
        await send("smtp://mail.invalid", sender="a@example.com")

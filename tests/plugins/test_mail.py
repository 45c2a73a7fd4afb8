"""The plugin `mail`: where mail goes, what is refused at start, and the mailbox of development."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from jinja2 import DictLoader

from sigra import ConfigurationError, Message, Sigra, hookimpl
from sigra.testing import Client, FrozenClock, cheap_settings, make_user
from tests.apps import Postbox, running
from tests.post_office import PostOffice, open_office

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HOSTILE = "\"'><script>alert(1)</script>"

GREETING = """\
{% extends face %}{% from face import p, button %}
{% block subject %}Hello {{ name }}{% endblock %}
{% block content %}
{{ p(_("Hello %(name)s", name=name)) }}
{{ button("Open", "http://localhost/page#token=abc") }}
{% endblock %}
"""


class Greeter:
    """A plugin with a kind of message of its own."""

    name, api = "greeter", 1

    @hookimpl
    def register_templates(self) -> Sequence[DictLoader]:
        return [DictLoader({"mail/greeting.jinja": GREETING})]


async def greet(client: Client, name: str = "Ada", recipient: str = "ada@example.com") -> None:
    """Send a greeting, and have it delivered."""
    auth = client.sigra
    await auth.db.transaction(lambda tx: auth.send(tx, Message("greeting", recipient, context={"name": name})))
    await auth.worker.work()


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with open_office() as opened:
        yield opened


def with_mail(**settings: Any) -> Sigra:
    """A Sigra in public, or where its settings say."""
    usual = {"base_url": "https://example.com", "development": False, "password": {}}
    return Sigra(cheap_settings(**{**usual, **settings}))


# Where mail goes


async def test_in_development_mail_is_printed(capsys):
    async with running(MEMORY, ["defaults", Greeter()]) as client:
        await greet(client)

    printed = capsys.readouterr().out
    assert "\nTo: ada@example.com\nSubject: Hello Ada\n\nHello Ada\n" in printed
    assert "\nhttp://localhost/page#token=abc\n" in printed


async def test_mail_goes_to_the_server_of_the_url(office):
    mail = {"url": office.url, "sender": "Sigra <no-reply@example.com>"}
    async with running(MEMORY, ["defaults", Greeter()], mail=mail) as client:
        await greet(client)

    [letter] = office.letters
    assert (letter["From"], letter["To"]) == ("Sigra <no-reply@example.com>", "ada@example.com")
    assert (letter["Subject"], letter["X-Sigra-Message"]) == ("Hello Ada", "greeting")
    assert re.fullmatch(r"<[0-9a-f-]{36}@localhost>", letter["Message-ID"])


async def test_another_plugin_that_sends_comes_first(office, capsys):
    post = Postbox()
    async with running(MEMORY, ["defaults", post, Greeter()], mail={"url": office.url}) as client:
        await greet(client)

    assert post.kinds == ["greeting"]
    assert office.envelopes == []


async def test_without_a_url_mail_waits_and_is_delivered_once_there_is_one(tmp_path, office, caplog):
    database = f"sqlite:///{tmp_path / 'test.sqlite3'}"
    clock = FrozenClock()
    async with running(database, ["defaults", Greeter()], clock=clock, development=False, password={}) as client:
        await greet(client)

    assert "SIGRA_MAIL__URL is not set" in caplog.text
    assert office.envelopes == []

    async with running(database, ["defaults", Greeter()], clock=clock, mail={"url": office.url}) as client:
        clock.tick(timedelta(hours=1))
        await client.sigra.worker.work()

    assert len(office.envelopes) == 1


async def test_a_start_without_a_url_is_warned_about_and_one_with_it_is_not(caplog):
    caplog.set_level(logging.WARNING)
    async with with_mail():
        assert [record.message for record in caplog.records if "SIGRA_MAIL__URL" in record.message]
    caplog.clear()
    async with with_mail(mail={"url": "smtp://mail.example.com", "sender": "a@example.com"}):
        assert "SIGRA_MAIL__URL" not in caplog.text


async def test_hc45_a_mail_server_that_is_gone_or_hangs_changes_no_answer(office):
    async def asked(mail: dict[str, Any]) -> tuple[int, str, list[tuple[str, str]]]:
        async with running(MEMORY, mail=mail, worker=True) as client:
            await make_user(client.sigra)
            answer = await client.post("/auth/password/forgot", json={"email": "ada@example.com"})
            assert office.envelopes == []
        return answer.status_code, answer.text, sorted(answer.headers.items())

    office.waits = "DATA"
    hanging = await asked({"url": office.url, "timeout": 0.2})
    gone = await asked({"url": "smtp://127.0.0.1:1"})
    printed = await asked({"url": "console:"})

    assert hanging == gone == printed
    assert hanging[0] == 202


# What is refused at start


@pytest.mark.parametrize(
    "url",
    [
        "smtp:",
        "smtp://",
        "http://user:hunter2@example.com",
        "smtp://user:hunter2@",
        "smtp://user:hun/ter2@example.com",
        "smtp://user:hunter2@example.com:port",
        "smtp://user:hunter2@example.com:0",
        "smtp://user:hunter2@example.com:99999",
        "smtp://user:hunter2@[example.com",
        "smtp://user:hunter2@example.com/path",
        "smtp://user:hunter2@example.com?starttls=no",
        "smtp://hunter2@example.com",
        "console://hunter2",
        "user:hunter2@example.com",
        "",
    ],
)
def test_hc21_a_url_that_is_not_understood_is_refused_without_quoting_it(url):
    with pytest.raises(ConfigurationError) as refused:
        with_mail(mail={"url": url, "sender": "a@example.com"})

    text = str(refused.value)
    assert "SIGRA_MAIL__URL" in text and "smtp://user:password@host:port" in text
    assert "hunter2" not in text and "ter2" not in text


def test_hc21_the_password_of_the_server_is_in_no_repr():
    auth = with_mail(mail={"url": "smtp://user:hunter2@example.com", "sender": "a@example.com"})

    [mail] = [one.plugin for one in auth.plugins if one.name == "mail"]
    shown = [auth.settings, mail.settings, mail.settings.server, vars(mail), vars(mail._sender)]
    assert "hunter2" not in repr(shown)
    assert mail.settings.server.password == "hunter2"


@pytest.mark.parametrize(
    "sender",
    ["", "ada", "a@example.com, b@example.com", "A\r\nBcc: x@y.example <a@b.example>", "<>", "\u00fc@a.example"],
)
def test_a_sender_that_is_not_one_address_is_refused(sender):
    with pytest.raises(ConfigurationError, match="SIGRA_MAIL__SENDER"):
        with_mail(mail={"url": "smtp://example.com", "sender": sender})


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("a@example.com", "", "a@example.com"),
        ("<a@example.com>", "", "a@example.com"),
        ("Ada, the first <a@example.com>", "Ada, the first", "a@example.com"),
        ('"Ada" <a@b\u00fccher.example>', "Ada", "a@xn--bcher-kva.example"),
        ("Größe <root@intranet>", "Größe", "root@intranet"),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(sender, name, address):
    auth = with_mail(mail={"url": "smtp://example.com", "sender": sender})

    [mail] = [one.plugin for one in auth.plugins if one.name == "mail"]
    found = mail.settings.address
    assert (found.display_name, found.addr_spec) == (name, address)


def test_in_public_a_url_needs_a_sender():
    with pytest.raises(ConfigurationError, match="SIGRA_MAIL__SENDER is not set"):
        with_mail(mail={"url": "smtp://example.com"})


def test_hc21_the_console_is_for_ones_own_machine():
    with pytest.raises(ConfigurationError, match=r"SIGRA_MAIL__URL is console:"):
        with_mail(mail={"url": "console:"})


def test_certificates_that_are_none_are_refused(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    mail = {"url": "smtps://example.com", "sender": "a@example.com"}

    for path in (file, tmp_path / "absent.pem"):
        with pytest.raises(ConfigurationError, match="SIGRA_MAIL__CA_FILE"):
            with_mail(mail={**mail, "ca_file": str(path)})


@pytest.mark.parametrize("timeout", [0, -1, 51])
def test_a_delivery_ends_before_its_worker_gives_it_up(timeout):
    with pytest.raises(ConfigurationError, match="SIGRA_MAIL__TIMEOUT"):
        with_mail(mail={"timeout": timeout})


# The mailbox


@asynccontextmanager
async def at_home(*plugins: Any, **options: Any) -> AsyncIterator[Client]:
    """A client on the machine where the application runs."""
    async with (
        running(MEMORY, ["defaults", *plugins], **options) as client,
        Client(client.app, client.sigra, address=("127.0.0.1", 1)) as here,
    ):
        here.event_hooks = client.event_hooks
        yield here


async def test_the_mailbox_shows_what_was_sent_to_people_and_to_scripts():
    async with at_home(Postbox(), Greeter()) as client:
        await greet(client, "Ada")
        await greet(client, "Bob", "bob@example.com")
        listed = (await client.get("/auth/mailbox")).json()["messages"]
        one = await client.get(f"/auth/mailbox/{listed[1]['id']}")
        page = await client.get("/auth/mailbox", headers=PAGE)
        letter = await client.get(f"/auth/mailbox/{listed[1]['id']}", headers=PAGE)
        html = await client.get(f"/auth/mailbox/{listed[1]['id']}/html", headers=PAGE)

    assert [(sent["kind"], sent["recipient"], sent["subject"]) for sent in listed] == [
        ("greeting", "bob@example.com", "Hello Bob"),
        ("greeting", "ada@example.com", "Hello Ada"),
    ]
    assert one.json() == listed[1]
    assert page.text.index("Hello Bob") < page.text.index("Hello Ada")
    assert f'href="/auth/mailbox/{listed[1]["id"]}"' in page.text
    assert '<a href="http://localhost/page#token=abc" rel="noopener">' in letter.text
    assert f'src="/auth/mailbox/{listed[1]["id"]}/html"' in letter.text
    assert "<p" in html.text and "Hello Ada" in html.text


async def test_an_empty_mailbox_says_so():
    async with at_home() as client:
        page = await client.get("/auth/mailbox", headers=PAGE)
        listed = await client.get("/auth/mailbox")

    assert "Nothing was sent yet." in page.text
    assert listed.json() == {"messages": []}


async def test_the_mailbox_shows_what_the_server_would_not_take(office):
    office.replies["RCPT"] = "550 No"
    async with at_home(Greeter(), mail={"url": office.url}) as client:
        await greet(client)
        listed = await client.get("/auth/mailbox")

    assert len(listed.json()["messages"]) == 1


async def test_the_mailbox_keeps_the_newest_hundred():
    async with at_home(Postbox(), Greeter()) as client:
        auth = client.sigra

        async def send_many(tx: Any) -> None:
            for number in range(102):
                await auth.send(tx, Message("greeting", f"{number}@example.com", context={"name": "x"}))

        await auth.db.transaction(send_many)
        await auth.worker.work()
        listed = (await client.get("/auth/mailbox")).json()["messages"]

    assert len({sent["recipient"] for sent in listed}) == len(listed) == 100


async def test_hc38_what_stands_in_a_mail_is_escaped_in_the_mailbox():
    async with at_home(Postbox(), Greeter()) as client:
        await greet(client, HOSTILE)
        [sent] = (await client.get("/auth/mailbox")).json()["messages"]
        pages = [await client.get("/auth/mailbox", headers=PAGE)]
        pages += [await client.get(f"/auth/mailbox/{sent['id']}{rest}", headers=PAGE) for rest in ("", "/html")]

    assert HOSTILE in sent["text"] and HOSTILE not in sent["html"]
    for page in pages:
        assert page.status_code == 200
        assert "<script" not in page.text and "&lt;script&gt;" in page.text


async def test_hc38_a_mail_is_shown_where_it_can_do_nothing():
    async with at_home(Postbox(), Greeter()) as client:
        await greet(client)
        [sent] = (await client.get("/auth/mailbox")).json()["messages"]
        around = await client.get(f"/auth/mailbox/{sent['id']}", headers=PAGE)
        inside = await client.get(f"/auth/mailbox/{sent['id']}/html", headers=PAGE)

    [frame] = re.findall(r"<iframe [^>]*>", around.text)
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame
    policy = inside.headers["content-security-policy"].split("; ")
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy
    assert not [directive for directive in policy if directive.startswith("script-src")]
    assert "frame-src 'self'" in around.headers["content-security-policy"].split("; ")
    assert "frame-ancestors 'none'" in around.headers["content-security-policy"].split("; ")
    assert around.headers["cache-control"] == inside.headers["cache-control"] == "no-store"


async def test_a_form_that_is_posted_to_the_mailbox_is_refused(caplog):
    async with at_home() as client:
        answer = await client.post("/auth/mailbox", data={"a": "b"})

    assert answer.status_code == 405
    assert "failed" not in caplog.text


async def test_a_mail_that_is_not_there_is_not_found():
    async with at_home() as client:
        for path in ("/auth/mailbox/00000000-0000-7000-8000-000000000000", "/auth/mailbox/nonsense"):
            assert (await client.get(path)).status_code == 404
            assert (await client.get(f"{path}/html")).status_code == 404


@pytest.mark.parametrize("peer", [("192.0.2.1", 1), ("10.0.0.1", 1), ("::ffff:192.0.2.1", 1), None], ids=str)
async def test_hc21_for_another_machine_there_is_no_mailbox(peer):
    async with at_home(Postbox(), Greeter()) as client:
        await greet(client)
        [sent] = (await client.get("/auth/mailbox")).json()["messages"]
        async with Client(client.app, client.sigra, address=peer) as elsewhere:
            answers = [
                await elsewhere.get(f"/auth/mailbox{rest}") for rest in ("", f"/{sent['id']}", f"/{sent['id']}/html")
            ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_hc21_a_page_elsewhere_whose_name_leads_here_finds_no_mailbox():
    async with at_home() as client:
        rebound = await client.get("/auth/mailbox", headers={"host": "rebound.example"})
        here = await client.get("/auth/mailbox", headers={"host": "127.0.0.1:8000"})

    assert (rebound.status_code, here.status_code) == (404, 200)


@pytest.mark.parametrize("header", ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"])
async def test_hc21_through_a_proxy_on_this_machine_there_is_no_mailbox(header):
    async with at_home() as client:
        through = await client.get("/auth/mailbox", headers={"host": "localhost", header: "127.0.0.1"})

    assert through.status_code == 404


async def test_hc21_in_public_there_is_no_mailbox_and_nothing_is_kept():
    post = Postbox()
    async with at_home(post, Greeter(), development=False, password={}) as client:
        await greet(client)
        answer = await client.get("/auth/mailbox")
        [mail] = [one.plugin for one in client.sigra.plugins if one.name == "mail"]

    assert post.kinds == ["greeting"]
    assert answer.status_code == 404
    assert mail._mailbox._messages == {}

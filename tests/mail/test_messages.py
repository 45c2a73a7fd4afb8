"""What a message says: as text and as HTML, in the reader's language, and nothing but what its template says."""

from __future__ import annotations

import importlib
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import DictLoader

from sigra import ConfigurationError, Message, RenderedMessage, Sigra, User, hookimpl
from sigra.mail.catalogues import Catalogues, accepted_languages
from sigra.mail.rendering import MailRenderer, Rendered
from sigra.testing import cheap_settings, make_user
from tests.apps import Postbox, running

ROOT = Path(__file__).parent.parent.parent
SIGRA = ROOT / "sigra"
LINK = f"https://accounts.example.com/auth/password/reset#token={'a-_0' * 10}abc"
FRAME = MappingProxyType({"product": "Acme", "host": "example.com", "home": "https://example.com"})

GREETING = """\
{% extends face %}
{% from face import p, button, code as big, small %}
{% block subject %}{{ _("Hello %(name)s", name=name) }}{% endblock %}
{% block content %}
{{ p(_("Hello %(name)s", name=name)) }}
{{ p(ngettext("%(num)s apple", "%(num)s apples", apples)) }}
{{ button(_("Open"), link) }}
{{ big("12345678") }}
{{ small(name) }}
{% endblock %}
"""


RENDERER = MailRenderer([DictLoader({"mail/greeting.jinja": GREETING}), SIGRA / "templates"], Catalogues([]))


class Greeter:
    """A plugin with a kind of message of its own."""

    name, api = "greeter", 1

    @hookimpl
    def register_templates(self) -> list[DictLoader]:
        return [DictLoader({"mail/greeting.jinja": GREETING})]


def greeting(name: str = "Ada", **values: Any) -> Rendered:
    """What a greeting says."""
    return RENDERER.render("greeting", "en", {**FRAME, "name": name, "apples": 2, "link": LINK, **values})


def to_ada(**values: Any) -> Message:
    """A greeting to send."""
    return Message("greeting", "ada@example.com", context={"name": "Ada", "apples": 1, "link": LINK}, **values)


def catalogue(folder: Path, language: str, **texts: str) -> Path:
    """A folder with a compiled catalogue."""
    made = Catalog(locale=language)
    for text, said in texts.items():
        made.add(text.replace("_", " ").replace("NAME", "%(name)s"), said)
    file = folder / language / "LC_MESSAGES" / "sigra.mo"
    file.parent.mkdir(parents=True)
    with file.open("wb") as opened:
        write_mo(opened, made)
    return folder


async def sent(message: Message, **options: Any) -> RenderedMessage:
    """A message as a sender gets it."""
    post = Postbox()
    async with running("sqlite:///:memory:", ["defaults", post, Greeter()], **options) as client:
        auth = client.sigra
        await auth.db.transaction(lambda tx: auth.send(tx, message))
        await auth.worker.work()
    [said] = post.messages
    return said


# Text and HTML


def test_the_text_is_paragraphs_of_short_lines_in_which_a_link_stands_alone_and_whole():
    said = greeting(" ".join(["anything"] * 40))

    lines = said.text.splitlines()
    assert LINK in lines and len(LINK) > 78
    assert max(len(line) for line in lines if line != LINK) <= 78
    assert "    12345678" in lines
    assert "\n\n\n" not in said.text
    assert said.text.endswith("https://example.com\n")


def test_the_html_says_the_same_and_loads_nothing():
    said = greeting()

    seen = Tags()
    seen.feed(said.html)
    assert all(text in said.html for text in ("Hello Ada", "2 apples", "12345678", "Acme sent this"))
    assert said.html.startswith("<!doctype html>")
    assert {value for _, name, value in seen.attributes if name == "href"} == {LINK, "https://example.com"}
    assert {name for _, name, _ in seen.attributes} <= {"href", "style", "lang", "charset", "name", "content"}
    assert seen.tags <= {"html", "head", "meta", "title", "body", "div", "h1", "p", "a", "br"}
    assert "url(" not in said.html


class Tags(HTMLParser):
    """Every tag and attribute of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


@given(st.text())
@example("</p><script>alert(1)</script>")
@example('" style="display:none" onmouseover="alert(1)')
def test_hc38_a_value_is_only_text(name):
    said, harmless = greeting(name), greeting("x")

    seen, usual = Tags(), Tags()
    seen.feed(said.html)
    usual.feed(harmless.html)
    assert (seen.tags, seen.attributes) == (usual.tags, usual.attributes)


@given(st.text())
def test_hc38_a_value_is_one_line_that_shows_nothing_but_itself(name):
    said = greeting(f"{name}\r\nBcc: eve@example.org\n\n\x1b[2J\u202eA new paragraph")

    assert said.subject.isprintable()
    assert all(line.isprintable() for line in said.text.split("\n"))
    assert said.text.count("\n\n") == greeting("x").text.count("\n\n")


def test_values_inside_of_values_are_cleaned_too():
    renderer = MailRenderer(
        [
            DictLoader(
                {
                    "mail/list.jinja": "{% extends face %}{% block subject %}{{ a.b[0] }}{% endblock %}"
                    "{% block content %}{% endblock %}"
                }
            ),
            SIGRA / "templates",
        ],
        Catalogues([]),
    )

    assert renderer.render("list", "en", {**FRAME, "a": {"b": ["x\r\ny"]}}).subject == "x y"


async def test_the_application_is_called_as_its_pages_call_it():
    named = await sent(to_ada(), pages={"title": "Acme & Sons"})
    unnamed = await sent(to_ada())

    assert "Acme & Sons sent this" in named.text and "Acme &amp; Sons sent this" in named.html
    assert "localhost sent this" in " ".join(unnamed.text.split())


@pytest.mark.parametrize(("base_url", "host"), [("http://[::1]:8000", "[::1]"), ("http://a.localhost", "a.localhost")])
async def test_the_id_of_a_message_ends_with_the_host(base_url, host):
    said = await sent(to_ada(), base_url=base_url)

    assert said.message_id.partition("@")[2] == host


def test_every_kind_is_on_the_page_of_messages():
    page = (ROOT / "docs" / "messages.md").read_text()
    kinds = {file.stem for file in (SIGRA / "templates" / "mail").glob("*.jinja")} - {"text", "html"}

    assert {kind for kind in kinds if f"| `{kind}` |" not in page} == set()


# The host's own words


async def test_a_host_writes_a_message_as_it_likes(tmp_path):
    (tmp_path / "mail").mkdir()
    own = "{% extends face %}{% block subject %}Ours{% endblock %}{% block content %}Our words{% endblock %}"
    (tmp_path / "mail" / "greeting.jinja").write_text(own)

    said = await sent(to_ada(), templates=(tmp_path,))

    assert said.subject == "Ours"
    assert "Our words" in said.text and "Our words" in said.html


async def test_a_host_gives_all_messages_another_face(tmp_path):
    (tmp_path / "mail").mkdir()
    face = (SIGRA / "templates" / "mail" / "html.jinja").read_text().replace("<body", "<body class='ours'")
    (tmp_path / "mail" / "html.jinja").write_text(face)

    said = await sent(to_ada(), templates=(tmp_path,))

    assert "<body class='ours'" in said.html and "Hello Ada" in said.html


async def test_a_host_brings_a_language(tmp_path):
    folder = catalogue(tmp_path, "fr", Hello_NAME="Bonjour %(name)s")

    said = await sent(to_ada(languages="fr"), locales=(folder,))

    assert (said.language, said.subject) == ("fr", "Bonjour Ada")
    assert "1 apple" in said.text


async def test_the_words_of_a_host_come_before_ours(tmp_path):
    folder = catalogue(tmp_path, "de", Sign_in="Hinein", Hello_NAME="Hallo %(name)s")

    said = await sent(to_ada(languages="de"), locales=(folder,))

    assert said.subject == "Hallo Ada"
    assert "Diese Nachricht kommt von" in said.text
    assert Catalogues([folder, SIGRA / "locale"]).translations("de").gettext("Sign in") == "Hinein"


async def test_a_plugin_brings_its_words_beside_its_module(tmp_path, monkeypatch):
    package = tmp_path / "sigra_greeting"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from jinja2 import DictLoader\nfrom sigra import hookimpl\n"
        f"TEXT = {GREETING!r}\n"
        "class Greeting:\n"
        "    name, api = 'greeting', 1\n"
        "    @hookimpl\n"
        "    def register_templates(self):\n"
        "        return [DictLoader({'mail/greeting.jinja': TEXT})]\n"
    )
    catalogue(package / "locale", "de", Hello_NAME="Hallo %(name)s")
    monkeypatch.syspath_prepend(tmp_path)
    plugin = importlib.import_module("sigra_greeting").Greeting()

    post = Postbox()
    async with running("sqlite:///:memory:", ["defaults", post, plugin]) as client:
        auth = client.sigra
        await auth.db.transaction(lambda tx: auth.send(tx, to_ada(languages="de")))
        await auth.worker.work()
    del sys.modules["sigra_greeting"]

    assert post.messages[0].subject == "Hallo Ada"
    assert "Diese Nachricht kommt von" in post.messages[0].text


def test_hc49_a_catalogue_that_cannot_be_read_is_refused(tmp_path):
    file = tmp_path / "de" / "LC_MESSAGES" / "sigra.mo"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"nonsense")

    with pytest.raises(ConfigurationError, match=r"sigra\.mo is no catalogue"):
        Sigra(cheap_settings(locales=[str(tmp_path)]))
    with pytest.raises(ConfigurationError, match="SIGRA_LOCALES"):
        cheap_settings(locales=[str(tmp_path / "absent")])


# Which language


LANGUAGES = Catalogues([SIGRA / "locale"])


@pytest.mark.parametrize(
    ("locale", "accepted", "language"),
    [
        (None, None, "en"),
        ("de", None, "de"),
        ("de-AT", None, "de"),
        ("de_CH", "en", "de"),
        ("DE", None, "de"),
        ("en-GB", "de", "en"),
        ("fr", "de", "de"),
        ("fr", None, "en"),
        (None, "de-AT", "de"),
        (None, "de, en", "de"),
        (None, "en, de", "en"),
        (None, "fr, de;q=0.5, en;q=0.4", "de"),
        (None, "en;q=0.4, de;q=0.5", "de"),
        (None, "de;q=0, en;q=0.1", "en"),
        (None, "de;q=0", "en"),
        (None, "de ; q=0.9 , *;q=0.1", "de"),
        (None, "*", "en"),
        (None, "de;q=2, de;q=x", "en"),
        (None, "../../etc, deutsch, d", "en"),
        ("", "", "en"),
    ],
)
def test_a_message_is_in_the_readers_language_else_in_the_one_asked_for(locale, accepted, language):
    assert LANGUAGES.preferred(locale, accepted) == language


@given(st.text(), st.text(st.sampled_from("deq=;,.-_* 019")))
def test_any_header_is_some_language(locale, accepted):
    assert LANGUAGES.preferred(locale, accepted) in LANGUAGES.languages
    assert "" not in [wanted.strip("*") for wanted in accepted_languages("de, en;q=0.1")]


async def test_the_users_language_comes_before_the_requests():
    post = Postbox()
    async with running("sqlite:///:memory:", ["defaults", post, Greeter()]) as client:
        auth = client.sigra
        user = await make_user(auth)

        async def send(tx: Any) -> None:
            german: User = await auth.users.describe(tx, user, name=None, locale="de-AT")
            await auth.send(tx, to_ada(user=german, languages="en"))
            await auth.send(tx, to_ada(languages="en"))

        await auth.db.transaction(send)
        await auth.worker.work()

    english, german = sorted(post.messages, key=lambda said: said.language, reverse=True)
    assert "sent this" in english.text and '<html lang="en">' in english.html
    assert "Diese Nachricht kommt von" in german.text and '<html lang="de">' in german.html


async def test_a_mail_that_was_asked_for_in_a_browser_is_in_its_language():
    post = Postbox()
    async with running("sqlite:///:memory:", ["defaults", post]) as client:
        user = await make_user(client.sigra)
        wanted = {"accept-language": "de-AT,de;q=0.9,en;q=0.1"}
        await client.post("/auth/password/forgot", json={"email": user.email}, headers=wanted)
        await client.sigra.worker.work()

    [said] = post.messages
    assert (said.kind, said.language, said.subject) == ("reset_password", "de", "Neues Passwort wählen")


def test_the_greeting_counts():
    assert "1 apple\n" in greeting(apples=1).text and "2 apples" in greeting(apples=2).text

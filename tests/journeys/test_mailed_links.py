"""The pages of mailed links in a real browser: the token leaves the address, and nothing happens by itself."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.demo import Demo

OpenPage = Callable[..., Page]

TOKEN = "t" * 43


class Mailbox:
    """The demo's mailbox, from now on."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._before = {mail["id"] for mail in self._mails()}

    def _mails(self) -> list[dict[str, str]]:
        response = self._page.request.get("/auth/mailbox", headers={"accept": "application/json"})
        mails: list[dict[str, str]] = response.json()["messages"]
        return mails

    def text(self, kind: str) -> str:
        """The first new mail of a kind, once it is there."""
        for _ in range(300):
            found = [mail["text"] for mail in self._mails() if mail["kind"] == kind and mail["id"] not in self._before]
            if found:
                return found[0]
            self._page.wait_for_timeout(100)
        raise AssertionError(f"no mail {kind}")


def link_in(mail: str) -> str:
    return re.search(r"http://\S+#token=\S+", mail)[0]


@pytest.mark.parametrize("path", ["/auth/password/reset", "/auth/magic-link/verify"])
def test_hc21_the_token_leaves_the_address_and_is_not_sent_by_itself(open_page: OpenPage, path: str) -> None:
    page = open_page()
    requests: list[tuple[str, str]] = []
    told: list[str] = []
    page.on("request", lambda request: requests.append((request.method, request.url)))
    page.on("console", lambda message: told.append(message.text))
    page.goto("/auth/magic-link")
    page.get_by_label("E-mail").fill("nobody@example.com")
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_label("Code")).to_be_visible()
    requests.clear()

    page.goto(f"{path}#token={TOKEN}")
    expect(page).to_have_url(re.compile(f"{path}$"))

    assert page.locator("input[name=token]").input_value() == TOKEN
    expect(page.get_by_label("Token")).to_be_hidden()
    expect(page.get_by_label("Code")).to_be_hidden()
    assert {method for method, _ in requests} <= {"GET"}
    assert not [url for _, url in requests if TOKEN in url.partition("#")[0]]
    assert TOKEN not in page.evaluate(
        "JSON.stringify([history.length, history.state, document.referrer, location.href])"
    )
    assert not [text for text in told if "Content Security Policy" in text]


def test_a_link_that_is_opened_on_its_own_page_is_taken_too(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/auth/password/reset")
    page.goto(f"/auth/password/reset#token={TOKEN}")

    expect(page.locator("input[name=token]")).to_have_value(TOKEN)
    expect(page).to_have_url(re.compile("/auth/password/reset$"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_person_signs_in_by_mail(demo: Demo, open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    mailbox = Mailbox(page)
    page.goto("/auth/login?next=/auth/account")
    page.get_by_role("link", name="Sign in by mail").click()
    page.get_by_label("E-mail").fill(demo.line("E-mail"))
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    mail = mailbox.text("magic_link")
    if scripts:
        page.goto(link_in(mail))
    else:
        page.get_by_label("Code").fill(re.search(r"^\s+(\d{8})$", mail, re.MULTILINE)[1])
    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page).to_have_url(f"{demo.url}/auth/account")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_person_chooses_a_new_password(demo: Demo, open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    mailbox = Mailbox(page)
    page.goto("/auth/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail").fill(demo.line("E-mail"))
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")
    link = link_in(mailbox.text("reset_password"))

    page.goto(link)
    if not scripts:
        page.get_by_label("Token").fill(link.partition("#token=")[2])
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("too easy to guess")
    page.get_by_label("New password").fill(demo.line("Password"))
    page.get_by_role("button", name="Set password").click()

    expect(page.get_by_role("status").first).to_have_text("Your password was set. Sign in with it.")
    page.get_by_label("E-mail").fill(demo.line("E-mail"))
    page.get_by_label("Password").fill(demo.line("Password"))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/auth/account|/$"))

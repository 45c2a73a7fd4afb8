"""The story of an account by mail: sign up, verify, reset, magic link, another address, export, leave, come back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.demo import PATIENCE, Demo

OpenPage = Callable[..., Page]

FIRST, SECOND = "seven quiet otters at dawn", "nine loud herons at dusk"


@dataclass
class Person:
    """Somebody at a browser, who reads their mail in the mailbox of the demo."""

    page: Page
    scripts: bool
    email: str
    read: set[str] = field(default_factory=set)

    def mail(self, kind: str, recipient: str | None = None) -> str:
        """Open the newest unread message of a kind, as a person does, and return its text."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            listed = self.page.request.get("/auth/mailbox", headers={"accept": "application/json"}).json()["messages"]
            for one in listed:
                if (one["kind"], one["recipient"]) == (kind, recipient or self.email) and one["id"] not in self.read:
                    self.read.add(one["id"])
                    self.page.goto("/auth/mailbox")
                    self.page.locator(f"a[href$='{one['id']}']").click()
                    return self.page.locator(".letter").inner_text()
        raise AssertionError(f"no {kind} for {recipient or self.email}")

    def follow(self, text: str) -> None:
        """Open the link of the message on screen; without scripts the token or the code is typed there."""
        link = re.search(r"https?://\S+#token=([A-Za-z0-9_-]{43})", text)
        self.page.get_by_role("link", name=link[0]).click()
        if self.scripts:
            expect(self.page).not_to_have_url(re.compile("token"))
            return
        code = re.search(r"^\s*(\d{8})\s*$", text, re.MULTILINE)
        # The link's page may still be on its way.
        field = self.page.get_by_label("Code").or_(self.page.get_by_label("Token")).first
        expect(field).to_be_visible()
        field.fill(code[1] if code and field.get_attribute("name") == "code" else link[1])

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def sign_in(self, password: str) -> None:
        self.page.goto("/auth/login?next=/auth/account")
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.get_by_label("Password").fill(password)
        self.press("Sign in")

    def is_in(self) -> None:
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Your account")

    def sign_out(self) -> None:
        self.page.goto("/")
        self.press("Sign out")
        expect(self.page.get_by_role("main")).to_contain_text("You are nobody yet")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_an_account_from_sign_up_to_its_end(demo: Demo, open_page: OpenPage, scripts: bool, tmp_path: Path) -> None:
    person = Person(open_page(java_script_enabled=scripts), scripts, f"grace-{scripts}@example.com".lower())

    signs_up(person)
    chooses_a_new_password(person)
    signs_in_by_mail(person)
    moves(person, f"new-{person.email}")
    takes_the_data_along(person, tmp_path / "account.json")
    leaves_and_comes_back(person)


def signs_up(person: Person) -> None:
    page = person.page
    page.goto("/auth/login")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Name").fill("Grace")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(FIRST)
    person.press("Create account")
    expect(page.get_by_role("main")).to_contain_text(person.email)
    person.sign_in(FIRST)
    expect(page.get_by_role("heading", name="Your account")).to_have_count(0)

    person.follow(person.mail("verify_email"))
    person.press("Confirm the address")
    expect(page.get_by_role("status").first).to_contain_text("Your address is confirmed")
    person.sign_in(FIRST)
    person.is_in()
    person.sign_out()


def chooses_a_new_password(person: Person) -> None:
    page = person.page
    page.goto("/auth/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail").fill(person.email)
    person.press("Send the link")
    person.follow(person.mail("reset_password"))
    page.get_by_label("New password").fill(SECOND)
    person.press("Set password")
    expect(page.get_by_role("status").first).to_contain_text("Your password was set")
    person.mail("password_changed")
    person.sign_in(FIRST)
    expect(page.get_by_role("alert")).to_be_visible()


def signs_in_by_mail(person: Person) -> None:
    page = person.page
    page.goto("/auth/login?next=/auth/account")
    page.get_by_role("link", name="Sign in by mail").click()
    page.get_by_label("E-mail").fill(person.email)
    person.press("Send the link")
    # The answer brings the cookie by which this browser is known.
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in by mail")
    expect(page).to_have_url(re.compile("magic-link/verify"))
    person.follow(person.mail("magic_link"))
    person.press("Sign in")
    person.is_in()


def moves(person: Person, new_address: str) -> None:
    page = person.page
    mine = page.get_by_role("region", name="E-mail")
    mine.get_by_label("New address").fill(new_address)
    mine.get_by_role("button", name="Change address").click()
    expect(mine).to_contain_text(new_address)
    person.mail("email_change_notice")
    person.follow(person.mail("confirm_new_email", new_address))
    person.press("Confirm this address")
    expect(page.get_by_role("status")).to_have_text("Your account has its new address.")
    person.mail("email_changed")
    person.mail("email_changed", new_address)
    person.email = new_address
    person.sign_out()
    person.sign_in(SECOND)
    person.is_in()


def takes_the_data_along(person: Person, file: Path) -> None:
    data = person.page.get_by_role("region", name="Your data")
    with person.page.expect_download() as download:
        data.get_by_role("link", name="Download all that is held about you").click()
    download.value.save_as(file)
    assert person.email in file.read_text()
    json.loads(file.read_text())


def leaves_and_comes_back(person: Person) -> None:
    page = person.page
    page.goto("/auth/account")
    page.get_by_role("region", name="Your data").get_by_text("Delete my account", exact=True).click()
    person.press("Delete my account now")
    expect(page.get_by_role("status")).to_contain_text("Your account is closed")
    person.sign_in(SECOND)
    expect(page.get_by_role("alert")).to_have_text("The sign-in details are not right.")
    person.follow(person.mail("deletion_scheduled"))
    person.press("Keep my account")
    expect(page.get_by_role("status")).to_have_text("Your account is open again.")
    person.sign_in(SECOND)
    person.is_in()

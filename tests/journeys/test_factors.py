"""The story of a second factor: an app is set up, asked for, spared, asked for again, and lost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.demo import Demo
from tests.journeys.test_account import faults
from tests.journeys.test_passkeys import PASSWORD, device_of, fill_in_passkey, sign_up
from tests.journeys.test_story import Person

OpenPage = Callable[..., Page]


class Phone:
    """An authenticator app, into which the secret was typed."""

    def __init__(self, secret: str) -> None:
        self.totp = pyotp.TOTP(secret.replace(" ", ""))
        self.step = int(time.time()) // self.totp.interval

    def code(self) -> str:
        """One that was not given yet; the second may come a step early, which is within the window."""
        self.step += 1
        return self.totp.generate_otp(self.step - 1)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_second_factor_from_its_first_code_to_its_last(
    demo: Demo, open_page: OpenPage, scripts: bool, tmp_path: Path
) -> None:
    person = Person(open_page(java_script_enabled=scripts), scripts, f"factor-{scripts}@example.com".lower())
    sign_up(person, PASSWORD)
    person.sign_in(PASSWORD)
    person.is_in()

    phone = sets_up_an_app(person)
    codes = keeps_the_codes(person, tmp_path)
    trusts_this_browser(person, phone)
    steps_up(person, codes.pop())
    trusts_it_no_more(person, codes.pop())
    removes_the_app(person)


def sets_up_an_app(person: Person) -> Phone:
    page = person.page
    page.get_by_role("region", name="Authenticator app").get_by_role("button", name="Set up an app").click()
    expect(page.get_by_role("img", name="QR code for an authenticator app")).to_be_visible()
    page.get_by_text("I cannot scan it").click()
    phone = Phone(page.locator("main code").inner_text())
    page.get_by_label("Code from the app").fill("000000")
    person.press("Confirm")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Code from the app").fill(phone.code())
    person.press("Confirm")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your authenticator app is set up")
    return phone


def keeps_the_codes(person: Person, folder: Path) -> list[str]:
    """Shown once: read, saved as a file and printed."""
    page = person.page
    shown = page.get_by_label("Your recovery codes")
    codes = shown.input_value().split()
    assert len(codes) == 10
    page.emulate_media(media="print")
    expect(shown).to_be_visible()
    page.emulate_media(media="screen")
    if person.scripts:
        with page.expect_download() as download:
            person.press("Download")
        download.value.save_as(folder / "codes.txt")
        assert (folder / "codes.txt").read_text().split()[-10:] == codes
        page.evaluate("window.print = () => document.body.classList.add('printed')")
        person.press("Print")
        expect(page.locator("body")).to_have_class(re.compile("printed"))
    page.get_by_role("link", name="Continue").click()
    page.goto("/auth/account")
    assert codes[0] not in page.content()
    expect(page.get_by_role("region", name="Recovery codes")).to_contain_text("10 recovery codes left")
    return codes


def trusts_this_browser(person: Person, phone: Phone) -> None:
    page = person.page
    person.sign_out()
    person.sign_in(PASSWORD)
    expect(page.get_by_role("heading", level=1)).to_have_text("One more step")
    page.get_by_label("Code", exact=True).fill(phone.code())
    page.get_by_label("Do not ask for this again in this browser").first.check()
    person.press("Continue")
    person.is_in()

    person.sign_out()
    person.sign_in(PASSWORD)
    person.is_in()


def steps_up(person: Person, code: str) -> None:
    """A trusted browser has shown one factor; a page that needs two asks for the other and is then shown."""
    page = person.page
    page.goto("/api/secret")
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    page.get_by_label("Password").fill(PASSWORD)
    person.press("Continue")
    gives_recovery_code(person, code)
    expect(page).to_have_url(re.compile("/api/secret$"))
    expect(page.locator("body")).to_contain_text('"secret":"42"')


def gives_recovery_code(person: Person, code: str) -> None:
    page = person.page
    expect(page.get_by_role("heading", level=1)).to_have_text("One more step")
    page.get_by_text("Use a recovery code", exact=True).click()
    group = page.get_by_role("group").filter(has_text="Recovery code")
    group.get_by_label("Recovery code").fill(code.lower().replace("-", " "))
    group.get_by_role("button", name="Continue").click()


def trusts_it_no_more(person: Person, code: str) -> None:
    page = person.page
    page.goto("/auth/account")
    trusted = page.get_by_role("region", name="Trusted browsers")
    trusted.get_by_role("button", name="Trust no more").click()
    expect(trusted.get_by_role("status")).to_have_text("The browser is trusted no more.")
    person.sign_out()
    person.sign_in(PASSWORD)
    gives_recovery_code(person, code)
    person.is_in()
    expect(page.get_by_role("region", name="Recovery codes")).to_contain_text("8 recovery codes left")
    assert "8" in person.mail("recovery_code_used")


def removes_the_app(person: Person) -> None:
    page = person.page
    page.goto("/auth/account")
    app = page.get_by_role("region", name="Authenticator app")
    app.get_by_text("Remove", exact=False).first.click()
    app.get_by_role("button", name="Remove now").click()
    expect(app.get_by_role("status")).to_have_text("The authenticator app was removed.")
    person.sign_out()
    person.sign_in(PASSWORD)
    person.is_in()


def test_no_page_of_a_factor_has_a_fault(context: BrowserContext) -> None:
    page, seen = context.new_page(), {}
    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    person = Person(page, True, f"{scheme}@example.com")
    sign_up(person, PASSWORD)
    person.sign_in(PASSWORD)
    person.is_in()

    page.get_by_role("button", name="Set up an app").click()
    page.get_by_text("I cannot scan it").click()
    phone = Phone(page.locator("main code").inner_text())
    seen["enrolment"] = faults(page)
    page.get_by_label("Code from the app").fill("000000")
    person.press("Confirm")
    expect(page.get_by_role("alert")).to_be_visible()
    seen["enrolment refused"] = faults(page)
    page.get_by_label("Code from the app").fill(phone.code())
    person.press("Confirm")
    expect(page.get_by_label("Your recovery codes")).to_be_visible()
    seen["codes"] = faults(page)
    device_of(page)
    page.goto("/auth/account")
    fill_in_passkey(page, "Phone")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your passkey is ready")
    seen["passkey made"] = faults(page)
    page.goto("/auth/account")
    fill_in_passkey(page, "Phone again")
    expect(page.get_by_role("region", name="Passkeys").get_by_role("status")).not_to_be_empty()
    page.get_by_text("Change Phone").click()
    page.get_by_role("region", name="Recovery codes").get_by_text("Make new codes").click()
    seen["account"] = faults(page)
    page.goto("/auth/recovery-codes")
    seen["recovery codes"] = faults(page)
    page.goto("/auth/reauthenticate?next=/auth/account")
    seen["reauthenticate"] = faults(page)
    page.request.post("/auth/logout")
    page.goto("/auth/signup")
    page.request.post("/auth/login", data={"email": person.email, "password": PASSWORD})
    page.goto("/auth/login/challenge")
    page.get_by_text("Use a recovery code", exact=True).click()
    seen["challenge"] = faults(page)

    assert {name: found for name, found in seen.items() if found} == {}

"""The story of a passkey, in a browser with a virtual authenticator: made, used in every way, lost, and copied."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.journeys.demo import Demo
from tests.journeys.test_story import Person

OpenPage = Callable[..., Page]

PASSWORD = "seven quiet otters at dawn"


@dataclass
class Device:
    """A device that makes passkeys (DevTools protocol, domain WebAuthn); it answers whenever it is asked."""

    session: CDPSession
    knows_its_user: bool = True
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal" if self.knows_its_user else "usb",
            "hasResidentKey": self.knows_its_user,
            "hasUserVerification": self.knows_its_user,
            "isUserVerified": self.knows_its_user,
            "automaticPresenceSimulation": True,
        }
        self.id = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def tell(self, method: str, **given: object) -> dict[str, Any]:
        return self.session.send(f"WebAuthn.{method}", {"authenticatorId": self.id, **given})

    def verifies(self, is_verified: bool) -> None:
        self.tell("setUserVerified", isUserVerified=is_verified)

    def passkey(self) -> dict[str, Any]:
        [one] = self.tell("getCredentials")["credentials"]
        return one

    def sets_counter(self, number: int) -> None:
        one = self.passkey()
        self.tell("removeCredential", credentialId=one["credentialId"])
        self.tell("addCredential", credential={**one, "signCount": number})


@pytest.fixture
def person(demo: Demo, open_page: OpenPage, request: pytest.FixtureRequest) -> Person:
    """Somebody new, who has an account with a password and is signed in."""
    name = re.sub(r"[^a-z]", "", request.node.name)
    person = Person(open_page(), True, f"{name}@example.com")
    sign_up(person, PASSWORD)
    person.sign_in(PASSWORD)
    person.is_in()
    return person


def sign_up(person: Person, password: str) -> None:
    page = person.page
    page.goto("/auth/signup?next=/auth/account")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(password)
    person.press("Create account")
    expect(page.get_by_role("main")).to_contain_text(person.email)
    person.follow(person.mail("verify_email"))
    person.press("Confirm the address")
    # Whoever goes on before it is answered has not confirmed it.
    expect(page).not_to_have_url(re.compile("email/verify"))


def device_of(page: Page, **traits: bool) -> Device:
    return Device(page.context.new_cdp_session(page), **traits)


def make_passkey(page: Page, name: str) -> None:
    fill_in_passkey(page, name)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your passkey is ready")
    page.get_by_role("link", name="Continue").click()
    expect(page.get_by_role("region", name="Passkeys").get_by_role("listitem")).to_contain_text(name)


def fill_in_passkey(page: Page, name: str) -> None:
    mine = page.get_by_role("region", name="Passkeys")
    mine.get_by_role("textbox", name="Name").last.fill(name)
    mine.get_by_role("button", name="Make a passkey").click()


def sign_out(person: Person) -> None:
    """To the sign-in page, and no further: a device that is there would sign in by itself."""
    person.page.request.post("/auth/logout")
    person.page.goto("/auth/signup")


def ask_for_passkey(person: Person) -> None:
    person.page.goto("/auth/login?next=/auth/account")
    expect(person.page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    person.press("Sign in with a passkey")


def identity(page: Page) -> dict[str, Any]:
    return dict(page.request.get("/auth/session").json()["identity"])


def test_a_passkey_is_made_renamed_and_not_made_twice(person: Person) -> None:
    device_of(person.page)
    mine = person.page.get_by_role("region", name="Passkeys")
    make_passkey(person.page, "Phone")

    fill_in_passkey(person.page, "Phone again")
    expect(mine.get_by_role("status")).to_have_text("This device has a passkey for your account already.")
    expect(mine.get_by_role("button", name="Make a passkey")).to_be_focused()
    mine.get_by_text("Change Phone").click()
    mine.get_by_role("textbox", name="Name").first.fill("Grace <b>")
    mine.get_by_role("button", name="Rename").click()

    expect(mine.get_by_role("status").first).to_have_text("The passkey was renamed.")
    expect(mine.get_by_role("listitem")).to_have_count(1)
    expect(mine.get_by_role("listitem")).to_contain_text("Grace <b>")


def test_a_passkey_signs_in_by_autofill(person: Person) -> None:
    device_of(person.page)
    make_passkey(person.page, "Phone")
    sign_out(person)

    person.page.goto("/auth/login?next=/auth/account", wait_until="commit")

    person.is_in()
    assert identity(person.page)["amr"] == ["hwk", "user", "mfa"]


def test_a_passkey_signs_in_by_the_button_unless_it_does_not_know_its_user(person: Person) -> None:
    device = device_of(person.page)
    make_passkey(person.page, "Phone")
    sign_out(person)
    # A browser that offers none in the address field: there one would sign in before the button is pressed.
    person.page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")

    device.verifies(False)
    ask_for_passkey(person)
    expect(person.page.get_by_role("status")).to_have_text("Nothing was done. Try again when you are ready.")
    expect(person.page.get_by_role("button", name="Sign in with a passkey")).to_be_focused()
    device.verifies(True)
    person.page.get_by_label("Keep me signed in").check()
    person.press("Sign in with a passkey")

    person.is_in()
    [session] = [one for one in person.page.context.cookies() if one["name"] == "sigra"]
    assert session["expires"] > time.time() + 7 * 86400


def test_a_passkey_is_asked_for_after_a_password(person: Person) -> None:
    device_of(person.page, knows_its_user=False)
    make_passkey(person.page, "Key")
    sign_out(person)
    person.sign_in(PASSWORD)
    expect(person.page.get_by_role("heading", level=1)).to_have_text("One more step")

    person.press("Use a passkey")

    person.is_in()
    assert identity(person.page)["assurance"] == "aal2"


def test_a_removed_passkey_signs_in_no_more(person: Person) -> None:
    device_of(person.page)
    make_passkey(person.page, "Phone")
    mine = person.page.get_by_role("region", name="Passkeys")
    mine.get_by_text("Change Phone").click()
    mine.get_by_role("button", name="Remove").click()
    expect(mine.get_by_role("status").first).to_have_text("The passkey was removed.")
    sign_out(person)

    person.page.goto("/auth/login?next=/auth/account", wait_until="commit")

    expect(person.page.get_by_role("alert")).to_have_text("The sign-in details are not right.")


def test_a_counter_that_goes_back_is_recorded(person: Person) -> None:
    device = device_of(person.page)
    make_passkey(person.page, "Phone")
    device.sets_counter(40)
    for number in (40, 7):
        device.sets_counter(number)
        sign_out(person)
        person.page.goto("/auth/login?next=/auth/account", wait_until="commit")
        person.is_in()

    events = person.page.request.get("/auth/audit/events").json()["events"]

    assert [one["name"] for one in events].count("passkey.counter_went_back") == 1


def test_an_account_begins_with_a_passkey_and_no_password(demo: Demo, open_page: OpenPage) -> None:
    person = Person(open_page(), True, "keyholder@example.com")
    device_of(person.page)
    sign_up(person, "")
    expect(person.page.get_by_role("heading", level=1)).to_have_text("One more step")

    person.page.get_by_role("textbox", name="Name").fill("Phone")
    person.press("Make a passkey")
    expect(person.page.get_by_label("Your recovery codes")).to_be_visible()
    person.page.get_by_role("link", name="Continue").click()

    person.is_in()
    sign_out(person)
    person.page.goto("/auth/login?next=/auth/account", wait_until="commit")
    person.is_in()


def test_who_needs_a_recent_sign_in_confirms_by_passkey_and_comes_back(person: Person) -> None:
    device_of(person.page)
    make_passkey(person.page, "Phone")

    person.page.goto("/auth/reauthenticate?next=/auth/account%23passkeys")
    person.press("Use a passkey")

    person.is_in()
    expect(person.page).to_have_url(re.compile("/auth/account#passkeys$"))


def test_who_has_no_scripts_is_promised_nothing(demo: Demo, open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    page.goto("/auth/login")

    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_text("passkey")).to_be_hidden()

"""The story of an account elsewhere, in a browser: signed up with, in with, linked, confirmed with, let go of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.federated import Site, running
from tests.journeys.test_account import FOCUSED, REACHABLE, faults
from tests.journeys.test_passkeys import PASSWORD, sign_up
from tests.journeys.test_story import Person
from tests.oauth.fault import SOUND, Document, Fault

OpenPage = Callable[..., Page]

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def person(open_page: OpenPage, request: pytest.FixtureRequest) -> Person:
    """Somebody new, who has an account with a password and is signed in."""
    name = re.sub(r"[^a-z]", "", request.node.name)[-40:]
    person = Person(open_page(), True, f"{name}@example.com")
    sign_up(person, PASSWORD)
    person.sign_in(PASSWORD)
    person.is_in()
    return person


def login_of(person: Person) -> str:
    """At the provider, which tells an address by it."""
    return person.email.partition("@")[0]


def signs_in_there(page: Page, login: str, *, consents: bool = True) -> None:
    page.get_by_placeholder("Enter any login").fill(login)
    page.get_by_placeholder("and password").fill("anything")
    page.get_by_role("button", name="Sign-in").click()
    if consents:
        page.get_by_role("button", name="Continue").click()


def comes_by(person: Person, login: str, **there: bool) -> None:
    """From the sign-in page to the provider and back."""
    person.page.goto("/auth/login?next=/auth/account")
    person.press("Continue with Somewhere")
    signs_in_there(person.page, login, **there)


def somebody(page: Page, login: str, *, scripts: bool = True) -> Person:
    person = Person(page, scripts, f"{login}@example.com")
    comes_by(person, login)
    person.is_in()
    return person


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def linked(page: Page) -> Any:
    return page.get_by_role("region", name="Linked accounts")


def session(page: Page) -> dict[str, Any]:
    return dict(page.request.get("/auth/session").json()["session"])


# Sign up, sign in


@SCRIPTS
def test_somebody_signs_up_and_comes_back(open_page: OpenPage, scripts: bool) -> None:
    login = f"grace-{scripts}".lower()
    person = Person(open_page(java_script_enabled=scripts), scripts, f"{login}@example.com")
    person.page.goto("/auth/signup?next=/auth/account")
    person.press("Continue with Somewhere")
    signs_in_there(person.page, login)
    person.is_in()
    expect(linked(person.page).get_by_role("listitem")).to_contain_text(f"Somewhere {login}@example.com")
    expect(linked(person.page)).to_contain_text("It cannot be removed: it is your only way to sign in.")
    person.sign_out()

    person.page.goto("/auth/login?next=/auth/account")
    person.press("Continue with Somewhere")

    person.is_in()


@SCRIPTS
def test_who_wants_to_stay_signed_in_does(open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    page.goto("/auth/login?next=/auth/account")
    page.get_by_label("Keep me signed in" if scripts else "Keep me signed in with these", exact=True).check()
    page.get_by_role("button", name="Continue with Somewhere", exact=True).click()
    signs_in_there(page, f"stays-{scripts}".lower())
    heading(page, "Your account")

    [cookie] = [one for one in page.context.cookies() if one["name"] == "sigra"]

    assert cookie["expires"] > time.time() + 7 * 86400


def test_by_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/auth/login?next=/auth/account")
    expect(page.get_by_label("E-mail")).to_be_focused()
    button = page.get_by_role("button", name="Continue with Somewhere", exact=True)
    for _ in range(5):
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_placeholder("Enter any login")).to_be_focused()
    page.keyboard.type("typist")
    page.keyboard.press("Tab")
    page.keyboard.type("anything")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Continue")).to_be_focused()
    page.keyboard.press("Enter")
    heading(page, "Your account")
    page.wait_for_load_state()  # its style sheet, too
    expected = page.evaluate(REACHABLE)

    reached = []
    for _ in expected:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))

    assert [html for html, *_ in reached] == expected
    assert [one for one in reached if one[1:] != ["solid", True, True]] == []


@SCRIPTS
def test_who_cancels_there_is_told_so_and_begins_again(open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    page.goto("/auth/login?next=/auth/account")
    page.get_by_role("button", name="Continue with Somewhere", exact=True).click()
    page.get_by_role("link", name="Cancel").click()
    heading(page, "Not allowed")
    expect(page.get_by_role("main")).to_contain_text("Nothing was changed.")

    page.get_by_role("link", name="Back to the sign-in").click()
    page.get_by_role("button", name="Continue with Somewhere", exact=True).click()
    signs_in_there(page, f"hesitant-{scripts}".lower())

    heading(page, "Your account")


def test_an_answer_is_shown_once_and_says_so_after_back_and_reload(open_page: OpenPage) -> None:
    page = open_page()
    answers: list[str] = []
    page.on("request", lambda request: answers.append(request.url) if "/callback?" in request.url else None)
    somebody(page, "impatient")

    page.goto(answers[-1])
    heading(page, "This attempt is over")
    page.reload()
    heading(page, "This attempt is over")
    page.get_by_role("link", name="Back to the sign-in").click()

    expect(page.get_by_role("main")).to_contain_text("You are signed in as impatient@example.com")


def test_a_provider_that_cannot_be_reached_does_not_lose_the_way(open_page: OpenPage, demo: Site) -> None:
    page = open_page()
    page.goto("/auth/login?next=/auth/account")
    page.evaluate("document.querySelector('form.providers button').formAction = '/auth/oauth/none/start'")
    page.get_by_role("button", name="Continue with Somewhere", exact=True).click()

    expect(page.get_by_role("alert")).to_be_visible()
    heading(page, "Sign in")


# An account that is there


def test_who_has_an_account_proves_that_it_is_theirs(person: Person) -> None:
    page = person.page
    person.sign_out()
    comes_by(person, login_of(person))
    heading(page, "Prove that the account is yours")
    expect(page.get_by_role("main")).to_contain_text(person.email)

    page.get_by_label("Password").fill("not the password")
    person.press("Sign in and link Somewhere")
    expect(page.get_by_role("alert")).to_have_text("The sign-in details are not right.")
    page.get_by_label("Password").fill(PASSWORD)
    person.press("Sign in and link Somewhere")

    person.is_in()
    expect(linked(page).get_by_role("listitem")).to_contain_text("Somewhere")
    person.mail("identity_linked")


@SCRIPTS
def test_it_is_proven_by_another_way_in_too(person: Person, open_page: OpenPage, scripts: bool) -> None:
    person.page = page = open_page(java_script_enabled=scripts)
    comes_by(person, login_of(person))
    heading(page, "Prove that the account is yours")

    page.get_by_role("link", name="Sign in in another way").click()
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    person.press("Sign in")
    expect(page.get_by_role("main")).to_contain_text("You are signed in to it.")
    person.press("Link Somewhere")

    person.is_in()
    expect(linked(page).get_by_role("listitem")).to_contain_text("Somewhere")


def test_who_is_signed_in_as_somebody_else_signs_out_first(person: Person, open_page: OpenPage) -> None:
    other = somebody(open_page(), "bystander")
    page = other.page
    page.get_by_role("button", name="Sign out here and at Somewhere").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    heading(page, "Sign in")
    comes_by(other, login_of(person), consents=True)
    heading(page, "Prove that the account is yours")
    page.goto("/auth/login?next=/auth/oauth/link")
    page.get_by_role("button", name="Continue with Postbox", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("You are signed in as ada@example.com, which is another account.")

    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.get_by_label("Password").fill(PASSWORD)
    other.press("Sign in and link Somewhere")

    other.is_in()
    expect(page.get_by_role("region", name="Profile")).to_contain_text(person.email)


# On the account page


@SCRIPTS
def test_an_account_is_linked_and_removed(person: Person, open_page: OpenPage, scripts: bool) -> None:
    person.page = page = open_page(java_script_enabled=scripts)
    person.sign_in(PASSWORD)
    expect(linked(page)).to_contain_text("No account is linked.")

    linked(page).get_by_role("button", name="Link Somewhere", exact=True).click()
    signs_in_there(page, f"elsewhere-{login_of(person)}")
    expect(linked(page).get_by_role("status")).to_contain_text("The account was linked.")
    expect(linked(page).get_by_role("button", name="Link another Somewhere account", exact=True)).to_be_visible()
    text = person.mail("identity_linked")
    assert "Somewhere" in text

    page.goto("/auth/account")
    linked(page).get_by_text("Remove Somewhere").first.click()
    linked(page).get_by_role("button", name="Remove now Somewhere").click()
    expect(linked(page).get_by_role("status")).to_have_text("The account is linked no more.")
    expect(linked(page)).to_contain_text("No account is linked.")
    person.mail("identity_unlinked")


def test_what_is_anothers_is_not_linked(person: Person, open_page: OpenPage) -> None:
    somebody(open_page(), "owner")
    linked(person.page).get_by_role("button", name="Link Somewhere", exact=True).click()
    signs_in_there(person.page, "owner")
    expect(person.page.get_by_role("main")).to_contain_text("This is linked to another account already.")

    person.page.get_by_role("link", name="Back to your account").click()

    expect(linked(person.page)).to_contain_text("No account is linked.")


@SCRIPTS
def test_who_needs_a_recent_sign_in_confirms_there_and_comes_back(open_page: OpenPage, scripts: bool) -> None:
    person = somebody(open_page(java_script_enabled=scripts), f"careful-{scripts}".lower(), scripts=scripts)
    before = session(person.page)

    person.page.goto(f"/auth/reauthenticate?next={quote('/auth/account#identities', safe='')}")
    person.press("Confirm with Somewhere")
    signs_in_there(person.page, login_of(person), consents=False)

    person.is_in()
    expect(person.page).to_have_url(re.compile("/auth/account#identities$"))
    assert session(person.page)["id"] != before["id"]


# An address that is not proven


@SCRIPTS
def test_who_has_no_address_there_gives_one(open_page: OpenPage, demo: Site, scripts: bool) -> None:
    person = Person(open_page(java_script_enabled=scripts), scripts, f"given-{scripts}@example.com".lower())
    page = person.page
    demo.posting.person = {"sub": f"no-address-{scripts}", "name": "Nobody"}
    page.goto("/auth/login?next=/auth/account")
    person.press("Continue with Postbox")
    if not scripts:
        person.press("Go on")
    heading(page, "Your e-mail address")
    page.get_by_label("E-mail").fill(f"mistyped-{scripts}@example.com".lower())
    person.press("Continue")
    heading(page, "Confirm your address")

    page.get_by_label("Another address").fill(person.email)
    person.press("Use this address")
    # The answer brings the cookie by which this browser is known, and looks like the page before.
    expect(page.get_by_role("main").locator("strong").first).to_have_text(person.email)
    person.follow(person.mail("verify_email"))
    if not scripts:
        page.get_by_label("E-mail").first.fill(person.email)
    person.press("Confirm the address")
    expect(page.get_by_role("status").first).to_contain_text("Your address is confirmed")
    person.press("Continue with Postbox")
    if not scripts:
        person.press("Go on")
    # Where they wanted to go at first.
    heading(page, "Your account")
    expect(page.get_by_role("region", name="Profile")).to_contain_text(person.email)


# Answers by a form


@SCRIPTS
def test_a_provider_answers_by_a_form(open_page: OpenPage, demo: Site, scripts: bool) -> None:
    person = Person(open_page(java_script_enabled=scripts), scripts, "")
    login = f"posted-{scripts}".lower()
    demo.posting.person = {"sub": login, "email": f"{login}@example.com", "email_verified": True}
    person.page.goto("/auth/login?next=/auth/account")
    person.press("Continue with Postbox")
    if not scripts:
        person.press("Go on")

    person.is_in()
    expect(linked(person.page).get_by_role("listitem")).to_contain_text(f"Postbox {login}@example.com")


def test_it_is_linked_by_a_form_that_brings_no_session(person: Person, demo: Site) -> None:
    demo.posting.person = {"sub": "linked-by-form", "email": "linked@example.com", "email_verified": True}

    linked(person.page).get_by_role("button", name="Link Postbox", exact=True).click()

    expect(linked(person.page).get_by_role("status")).to_contain_text("The account was linked.")
    expect(linked(person.page).get_by_role("listitem")).to_contain_text("Postbox linked@example.com")


def cancelled(_: Any, given: Document) -> Document:
    return {"error": ["access_denied"], "state": given["state"], "iss": given["iss"]}


def test_who_cancels_at_a_form_goes_back_to_where_it_began(person: Person, demo: Site) -> None:
    demo.posting.fault = Fault("is cancelled", callback=cancelled)
    try:
        linked(person.page).get_by_role("button", name="Link Postbox", exact=True).click()
        heading(person.page, "Not allowed")
    finally:
        demo.posting.fault = SOUND

    person.page.get_by_role("link", name="Back to your account").click()

    person.is_in()


# Signing out


@SCRIPTS
def test_a_sign_out_here_and_there(open_page: OpenPage, scripts: bool) -> None:
    person = somebody(open_page(java_script_enabled=scripts), f"leaving-{scripts}".lower(), scripts=scripts)
    page = person.page
    page.get_by_role("banner").get_by_role("button", name="Sign out here and at Somewhere").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    heading(page, "Sign in")
    assert page.request.get("/auth/session").status == 401

    person.press("Continue with Somewhere")

    expect(page.get_by_placeholder("Enter any login")).to_be_visible()


def test_a_sign_out_there_ends_the_session_of_that_browser(open_page: OpenPage, demo: Site) -> None:
    first, second = somebody(open_page(), "roaming").page, somebody(open_page(), "roaming").page

    first.goto(f"{demo.provider.issuer}/session/end")
    first.get_by_role("button", name="Yes, sign me out").click()
    expect(first.get_by_role("button", name="Yes, sign me out")).to_have_count(0)

    assert first.request.get("/auth/session").status == 401
    assert second.request.get("/auth/session").status == 200


# By axe, and in small windows


def onward(page: Page) -> str:
    """The page that leads on at once, as it would be seen if it did not, with its style sheet."""
    form = {"page": "true"}
    text = page.request.post("/auth/oauth/oidc/start", form=form, headers={"accept": "text/html"}).text()
    style = page.request.get("/auth/style.css").text()
    assert 'http-equiv="refresh" content="0; url=http' in text
    return re.sub("<link[^>]+>", f"<style>{style}</style>", re.sub("<meta http-equiv[^>]+>", "", text))


def test_no_page_of_it_has_a_fault(context: BrowserContext, demo: Site) -> None:
    shade = "dark" if context.new_page().evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    page, seen = context.new_page(), {}
    for path in ("login", "signup"):
        page.goto(f"/auth/{path}")
        seen[path] = faults(page)
    page.set_content(onward(page))
    seen["onward"] = faults(page)
    page.goto("/auth/oauth/oidc/callback")
    heading(page, "This attempt is over")
    seen["in vain"] = faults(page)

    person = Person(page, True, f"seen-{shade}@example.com")
    sign_up(person, PASSWORD)
    comes_by(person, login_of(person))
    heading(page, "Prove that the account is yours")
    seen["link"] = faults(page)
    page.get_by_label("Password").fill("x")
    person.press("Sign in and link Somewhere")
    expect(page.get_by_role("alert")).to_be_visible()
    seen["link refused"] = faults(page)
    page.get_by_label("Password").fill(PASSWORD)
    person.press("Sign in and link Somewhere")
    person.is_in()
    page.goto("/auth/account?done=identity.linked")
    linked(page).locator("summary").first.click()
    seen["account"] = faults(page)
    page.goto("/auth/reauthenticate")
    seen["reauthenticate"] = faults(page)
    person.sign_out()
    demo.posting.person = {"sub": f"seen-{shade}"}
    page.goto("/auth/login")
    person.press("Continue with Postbox")
    heading(page, "Your e-mail address")
    seen["address"] = faults(page)
    page.get_by_label("E-mail").evaluate("field => { field.form.noValidate = true }")
    person.press("Continue")
    expect(page.get_by_role("alert")).to_be_visible()
    seen["address refused"] = faults(page)
    page.get_by_label("E-mail").fill(f"another-{shade}@example.com")
    person.press("Continue")
    heading(page, "Confirm your address")
    seen["confirm"] = faults(page)

    assert {name: found for name, found in seen.items() if found} == {}

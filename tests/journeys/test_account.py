"""The story of an account: look, change what can be changed, make a key, end what is foreign; by keyboard, too."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.demo import Demo

OpenPage = Callable[..., Page]

NEW = "a new long pass phrase"


def sign_in(page: Page, demo: Demo, password: str | None = None) -> None:
    page.goto("/auth/login?next=/auth/account")
    page.get_by_label("E-mail").fill(demo.line("E-mail"))
    page.get_by_label("Password").fill(password or demo.line("Password"))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_person_is_called_otherwise(demo: Demo, open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    sign_in(page, demo)
    profile = page.get_by_role("region", name="Profile")

    profile.get_by_label("Name").fill("Grace <b>")
    profile.get_by_role("button", name="Save").click()

    expect(page).to_have_url(f"{demo.url}/auth/account?done=account.changed#profile")
    expect(profile.get_by_role("status")).to_have_text("Your profile was saved.")
    expect(profile.get_by_label("Name")).to_have_value("Grace <b>")
    profile.get_by_label("Name").fill("Ada")
    profile.get_by_role("button", name="Save").click()
    expect(profile.get_by_label("Name")).to_have_value("Ada")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_key_is_made_used_and_revoked(demo: Demo, open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    sign_in(page, demo)
    keys = page.get_by_role("region", name="API keys")

    keys.get_by_label("Name").fill("Journey")
    keys.get_by_label("Scopes").fill("reports:read NO")
    keys.get_by_label("Expires").select_option("In 30 days")
    keys.get_by_role("button", name="Create key").click()
    expect(keys.get_by_role("alert")).to_contain_text("Some fields are not right.")
    expect(keys.get_by_label("Scopes")).to_have_attribute("aria-invalid", "true")
    expect(keys.get_by_label("Name")).to_have_value("Journey")

    keys.get_by_label("Scopes").fill("reports:read")
    keys.get_by_role("button", name="Create key").click()
    key = keys.get_by_label("Journey was created.").input_value()
    expect(keys.get_by_role("listitem").filter(has_text="Journey")).to_contain_text(key[-4:])
    bearer = {"authorization": f"Bearer {key}"}
    assert page.request.get("/api/report", headers=bearer).status == 200

    page.goto("/auth/account")
    assert key not in page.content()
    mine = keys.get_by_role("listitem").filter(has_text="Journey")
    mine.get_by_text("Revoke Journey").first.click()
    mine.get_by_role("button", name="Revoke now Journey").click()
    expect(keys.get_by_role("status")).to_have_text("The key was revoked.")
    assert page.request.get("/api/report", headers=bearer).status == 401


def test_another_browser_is_signed_out(demo: Demo, open_page: OpenPage) -> None:
    phone = open_page(java_script_enabled=False, user_agent="Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1")
    sign_in(phone, demo)
    page = open_page(java_script_enabled=False)
    sign_in(page, demo)
    sessions = page.get_by_role("region", name="Sessions")

    sessions.get_by_role("listitem").filter(has_text="Safari on iPhone").get_by_role("button").click()
    expect(sessions.get_by_role("status")).to_have_text("The session was ended.")

    phone.reload()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_new_password_signs_everybody_else_out(demo: Demo, open_page: OpenPage) -> None:
    other = open_page(java_script_enabled=False)
    sign_in(other, demo)
    page = open_page(java_script_enabled=False)
    sign_in(page, demo)
    section = page.get_by_role("region", name="Password")

    for old, new in ((demo.line("Password"), NEW), (NEW, demo.line("Password"))):
        section.get_by_label("Current password").fill(old)
        section.get_by_label("New password").fill(new)
        section.get_by_role("button", name="Change password").click()
        expect(section.get_by_role("status")).to_have_text("Your password was changed.")

    other.reload()
    expect(other.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


def test_hc38_after_sign_out_the_back_button_shows_no_account(demo: Demo, open_page: OpenPage) -> None:
    page = open_page()
    sign_in(page, demo)
    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("main")).to_contain_text("You are nobody yet")

    page.go_back()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert demo.line("E-mail") not in page.content()


# By keyboard alone


def test_a_person_signs_in_and_is_told_of_errors_by_keyboard_alone(demo: Demo, open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/auth/login?next=/auth/account")
    # Focused when the page is first drawn, which may be after it was loaded: who types earlier types nowhere.
    expect(page.get_by_label("E-mail")).to_be_focused()

    page.keyboard.type(demo.line("E-mail"))
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type(demo.line("Password"))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


FOCUSED = """() => {
    const element = document.activeElement, box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const seen = box.top >= 0 && box.bottom <= innerHeight;
    return [element.outerHTML.slice(0, 100), style.outlineStyle, parseFloat(style.outlineWidth) >= 2, seen];
}"""

REACHABLE = """() => [...document.querySelectorAll(
    "a[href], button, summary, select, textarea, input:not([type=hidden]):not([hidden])"
)].filter(element => element.checkVisibility()).map(element => element.outerHTML.slice(0, 100))"""


def test_everything_is_reached_by_keyboard_in_its_order_and_the_focus_is_seen(demo: Demo, open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 1280, "height": 720})
    sign_in(page, demo)
    page.goto("/auth/account")
    expected = page.evaluate(REACHABLE)

    reached = []
    for _ in expected:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))

    assert [html for html, *_ in reached] == expected
    assert [one for one in reached if one[1:] != ["solid", True, True]] == []


# By axe, and in small windows

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


def faults(page: Page) -> list[str]:
    """What axe finds, what is wider than the window, and what is too small to hit (WCAG 2.2, 1.4.10 and 2.5.8)."""
    page.wait_for_load_state()  # its style sheet, too
    page.evaluate(AXE)
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    wide = page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
    small = page.evaluate(
        """() => [...document.querySelectorAll("a, button, summary, label.check, select, textarea")]
            .filter(element => element.checkVisibility() && element.getBoundingClientRect().height < 24)
            .map(element => element.outerHTML)"""
    )
    return [one["id"] for one in found["violations"]] + ["too wide"] * wide + small


def test_no_page_has_a_fault(context: BrowserContext, demo: Demo) -> None:
    page = context.new_page()
    seen = {}
    page.goto("/auth/login")
    seen["login"] = faults(page)
    page.get_by_label("E-mail").fill("nobody@example.com")
    page.get_by_label("Password").fill("x")
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in", exact=True).click()
    seen["login refused"] = faults(page)
    page.goto("/auth/login/challenge")
    seen["sign-in expired"] = faults(page)
    sign_in(page, demo)
    seen["account"] = faults(page)
    page.get_by_role("region", name="API keys").get_by_role("button", name="Create key").evaluate(
        "button => { button.form.noValidate = true; button.click() }"
    )
    expect(page.get_by_role("alert")).to_be_visible()
    seen["account refused"] = faults(page)
    page.locator("summary").first.click()
    seen["account opened"] = faults(page)
    page.goto("/auth/account?done=account.changed")
    seen["account done"] = faults(page)
    page.goto("/auth/reauthenticate?next=/auth/account")
    seen["reauthenticate"] = faults(page)
    page.goto("/auth/login")
    seen["signed in already"] = faults(page)
    page.goto("/auth/nowhere")
    seen["error"] = faults(page)
    page.goto("/")
    seen["demo"] = faults(page)

    assert {name: found for name, found in seen.items() if found} == {}


def test_a_fault_is_found(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/auth/login")
    page.evaluate(
        """() => {
            document.querySelector("label").remove();
            document.querySelector("button").style.minHeight = document.querySelector("button").style.height = "20px";
            document.querySelector("main").style.minWidth = "400px";
        }"""
    )

    found = faults(page)

    assert "label" in found and "too wide" in found
    assert any("<button" in one for one in found)


def test_no_page_of_the_mails_has_a_fault(context: BrowserContext) -> None:
    page, seen = context.new_page(), {}
    for path in ("signup", "email/verify", "password/forgot", "password/reset", "magic-link"):
        page.goto(f"/auth/{path}")
        seen[path] = faults(page)
        with page.expect_navigation():
            page.get_by_role("main").locator("form button").first.evaluate(
                "button => { button.form.noValidate = true; button.click() }"
            )
        seen[f"{path} posted"] = faults(page)

    assert {name: found for name, found in seen.items() if found} == {}


def test_no_page_of_a_message_has_a_fault(context: BrowserContext, demo: Demo) -> None:
    page = context.new_page()
    page.goto("/auth/magic-link")
    page.get_by_label("E-mail").fill(demo.line("E-mail"))
    with page.expect_navigation():
        page.get_by_role("button", name="Send the link").click()
    seen = {"asked": faults(page)}
    page.goto("/auth/mailbox")
    while not page.locator("li").count():
        page.reload()
    seen["mailbox"] = faults(page)
    with page.expect_navigation():
        page.locator("li a").first.click()
    seen["message"] = faults(page)

    assert {name: found for name, found in seen.items() if found} == {}

"""The story of a newcomer: start the demo, look, sign in, be greeted, sign out, start it again."""

from __future__ import annotations

import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect

from tests.journeys.demo import Demo, free_port, running

OpenPage = Callable[..., Page]


def sign_in(page: Page, demo: Demo, password: str | None = None) -> None:
    page.get_by_label("E-mail").fill(demo.line("E-mail"))
    page.get_by_label("Password").fill(password or demo.line("Password"))
    page.get_by_role("button", name="Sign in", exact=True).click()


def is_post(response: Response) -> bool:
    return response.request.method == "POST" and response.request.is_navigation_request()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_visitor_signs_in_and_out(demo: Demo, open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)

    page.goto("/")
    expect(page.get_by_role("main")).to_contain_text("You are nobody yet")

    page.get_by_role("link", name="Sign in").click()
    sign_in(page, demo)
    expect(page).to_have_url(f"{demo.url}/")
    expect(page.get_by_role("main")).to_contain_text("You are Ada (demo@example.com)")

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{demo.url}/")
    expect(page.get_by_role("main")).to_contain_text("You are nobody yet")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_wrong_password_shows_the_page_again(demo: Demo, open_page: OpenPage, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    page.goto("/auth/login?next=/api/report")

    with page.expect_response(is_post) as answer:
        sign_in(page, demo, "not the password")

    assert answer.value.status == 401
    expect(page.get_by_role("alert")).to_have_text("The sign-in details are not right.")
    assert "not the password" not in page.content()
    sign_in(page, demo)
    expect(page).to_have_url(f"{demo.url}/api/report")
    expect(page.locator("body")).to_contain_text('"for":"demo@example.com"')


def test_the_websocket_greets_by_name(demo: Demo, open_page: OpenPage) -> None:
    page = open_page()
    wrong = []
    page.on("console", lambda message: wrong.append(message.text))
    page.goto("/auth/login")

    sign_in(page, demo)

    expect(page.locator("#greeting")).to_have_text("Hello, Ada!")
    assert wrong == []


def test_hc35_a_websocket_of_nobody_is_refused(demo: Demo, open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/")

    ended = page.evaluate(
        """() => new Promise((resolve) => {
            const socket = new WebSocket(location.href.replace(/^http/, "ws") + "ws");
            socket.onopen = () => resolve("open");
            socket.onerror = () => resolve("refused");
        })"""
    )

    assert ended == "refused"


def test_hc38_the_back_button_shows_nothing_after_sign_out(demo: Demo, open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/auth/login")
    sign_in(page, demo)
    expect(page.locator("#greeting")).to_have_text("Hello, Ada!")
    page.goto("/auth/session")
    page.goto("/auth/login")
    expect(page.get_by_role("main")).to_contain_text("You are signed in as demo@example.com")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("main")).to_contain_text("You are nobody yet")

    seen = []
    for _ in range(3):
        page.go_back()
        seen.append((page.url.removeprefix(demo.url), "demo@example.com" in page.content()))

    assert seen == [("/auth/login", False), ("/auth/login?next=%2Fauth%2Fsession", False), ("/", False)]


@pytest.mark.parametrize("target", ["https://example.com/", "//example.com/", "/\\example.com", "https:example.com"])
def test_hc36_a_foreign_next_leads_home(demo: Demo, open_page: OpenPage, target: str) -> None:
    page = open_page()
    page.goto("/")
    page.evaluate("target => { location.href = '/auth/login?next=' + encodeURIComponent(target) }", target)
    page.wait_for_url("**/auth/login*")

    sign_in(page, demo)

    expect(page).to_have_url(f"{demo.url}/")


def test_hc35_a_foreign_page_cannot_sign_anybody_in(demo: Demo, open_page: OpenPage) -> None:
    page = open_page()
    # Another origin, though the same site: the port differs.
    page.route("**/foreign", lambda route: route.fulfill(content_type="text/html", body=FOREIGN.format(demo=demo)))
    page.goto(f"http://localhost:{free_port()}/foreign")

    with page.expect_response(is_post) as answer:
        page.get_by_role("button").click()

    assert answer.value.status == 403
    assert page.context.cookies() == []


FOREIGN = """<form method="post" action="{demo.url}/auth/login"><input name="email" value="demo@example.com">
<input name="password" value="x"><button>Win a prize</button></form>"""


def test_the_printed_curl_line_answers_200(demo: Demo) -> None:
    answer = curl(demo.curl)

    assert answer.startswith("HTTP/1.1 200")
    assert '"by":"api_key"' in answer


def test_a_mistyped_key_answers_401(demo: Demo) -> None:
    answer = curl(demo.curl.replace("sigra_sk_", "sigra_sk_x"))

    assert answer.startswith("HTTP/1.1 401")
    assert 'www-authenticate: Bearer error="invalid_token"' in answer


def curl(line: str) -> str:
    done = subprocess.run(
        f"{line} --silent --include --noproxy '*'", shell=True, check=False, capture_output=True, text=True
    )
    return done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_can_be_stopped_and_started_again(tmp_path: Path, open_page: OpenPage, number: signal.Signals) -> None:
    port = free_port()
    with running(tmp_path, port) as first:
        page = open_page()
        page.goto(f"{first.url}/auth/login")
        sign_in(page, first)
        expect(page.locator("#greeting")).to_have_text("Hello, Ada!")
        status = first.stop(number)
        said = first.process.stdout.read()
    with running(tmp_path, port) as second:
        page.goto(second.url)
        still = page.get_by_role("main").inner_text()
        answer = curl(first.curl)

    assert (status, said.strip()) == (0, "")
    assert second.output == first.output
    assert "You are Ada" in still
    assert answer.startswith("HTTP/1.1 200")


def test_a_port_in_use_is_said_in_one_line(demo: Demo, tmp_path: Path) -> None:
    port = demo.url.rpartition(":")[2]

    with (
        pytest.raises(RuntimeError, match=rf"^the demo ended: Error: Port {port} is in use: .+\n$"),
        running(tmp_path, int(port)),
    ):
        pass


def test_hc22_what_the_demo_keeps_is_for_its_owner_alone(demo: Demo) -> None:
    folder = Path(f"/proc/{demo.process.pid}/cwd/.sigra-demo")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"

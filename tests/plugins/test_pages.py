"""The pages: what plugins put on them, what they say when something is refused, and how a host changes them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jinja2 import DictLoader
from starlette.requests import Request
from starlette.responses import Response

from sigra import ConfigurationError, Part, Refused, Route, Sigra, TooManyAttempts, hookimpl
from sigra.errors import InternalError, Malformed, NotFound, Unavailable
from sigra.testing import PASSWORD, Client, cheap_settings, make_api_key, make_user
from tests.apps import running
from tests.policies import Factor

MEMORY = "sqlite:///:memory:"
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HOSTILE = "\"'><script>alert(1)</script>"


class Decorated:
    """A plugin with parts and templates of its own."""

    api = 1

    def __init__(self, name: str = "decorated", **templates: str) -> None:
        self.name, self.templates = name, {name.replace("__", "/"): text for name, text in templates.items()}
        self.parts: list[Part] = []
        self.asked: list[str] = []

    @hookimpl
    def register_templates(self) -> list[DictLoader]:
        return [DictLoader(self.templates)]

    @hookimpl
    async def parts_for_page(self, page: str) -> Sequence[Part] | None:
        self.asked.append(page)
        return self.parts


def decorated(*parts: Part, name: str = "decorated", **templates: str) -> Decorated:
    plugin = Decorated(name, **templates)
    plugin.parts += parts
    return plugin


# Parts


async def test_the_sign_in_form_is_the_part_of_the_password_plugin() -> None:
    async with running(MEMORY) as client:
        page = await client.get("/auth/login")

    assert page.status_code == 200
    assert 'action="/auth/login"' in page.text
    assert 'autocomplete="username"' in page.text and 'autocomplete="current-password"' in page.text


async def test_a_plugin_adds_to_a_page_what_it_has() -> None:
    button = Part("alternatives", 10, "button", {"label": "Use a badge & a PIN"})
    plugin = decorated(button, button="<button>{{ label }}</button>")
    async with running(MEMORY, ["defaults", plugin]) as client:
        page = await client.get("/auth/login")

    assert plugin.asked == ["login"]
    assert "<button>Use a badge &amp; a PIN</button>" in page.text


async def test_parts_stand_in_their_order_and_of_one_order_as_the_plugins_do() -> None:
    first = decorated(Part("main", 7, "a"), Part("main", 900, "z"), name="first", a="[a]", z="[z]")
    second = decorated(Part("main", 7, "b"), Part("main", 1, "y"), name="second", b="[b]", y="[y]")
    async with running(MEMORY, ["defaults", first, second]) as client:
        page = await client.get("/auth/login")

    places = [page.text.index(text) for text in ("[y]", "[a]", "[b]", 'name="password"', "[z]")]
    assert places == sorted(places)


async def test_a_part_of_a_slot_that_the_page_has_not_is_not_shown() -> None:
    plugin = decorated(Part("attic", 1, "ghost"), ghost="[ghost]")
    async with running(MEMORY, ["defaults", plugin]) as client:
        page = await client.get("/auth/login")

    assert page.status_code == 200
    assert "[ghost]" not in page.text


async def test_a_page_on_which_nobody_can_sign_in_says_so() -> None:
    async with running(MEMORY, ["pages", "sessions"]) as client:
        page = await client.get("/auth/login")

    assert page.status_code == 200
    assert "no way to do so is switched on" in page.text


class Broken:
    name, api = "broken", 1

    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    async def parts_for_page(self) -> Sequence[Part] | None:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("boom"), Refused("no"), Unavailable()])
async def test_hc47_a_plugin_that_fails_to_say_its_part_leaves_the_page_to_the_others(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(MEMORY, [Broken(error), "defaults"]) as client:
        page = await client.get("/auth/login")

    assert page.status_code == 200
    assert 'name="password"' in page.text
    assert "A part of this page could not be shown." in page.text
    assert "broken" in caplog.text
    assert "boom" not in page.text


async def test_hc47_a_part_that_cannot_be_rendered_leaves_the_page_to_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = [Part("main", 1, "wrong"), Part("main", 2, "absent"), Part("main", 3, "right")]
    plugin = decorated(*parts, wrong="[half]{{ nobody }}", right="[right]")
    async with running(MEMORY, ["defaults", plugin]) as client:
        page = await client.get("/auth/login")

    assert page.status_code == 200
    assert "[right]" in page.text and 'name="password"' in page.text
    assert "[half]" not in page.text
    assert "A part of this page could not be shown." in page.text
    assert "the part wrong of plugin decorated" in caplog.text and "the part absent of plugin" in caplog.text


async def test_whoever_is_signed_in_is_offered_to_go_on_or_to_sign_out() -> None:
    async with running(MEMORY) as client:
        await client.sign_in(await make_user(client.sigra))
        page = await client.get("/auth/login")

    assert "ada@example.com" in page.text
    assert 'action="/auth/logout"' in page.text
    assert 'href="/auth/account"' in page.text
    assert 'name="password"' not in page.text


# Forms that are refused


async def test_a_wrong_password_shows_the_page_again_with_the_address_and_never_the_password() -> None:
    async with running(MEMORY) as client:
        form = {"email": "ada@example.com", "password": "a-wrong-password"}
        page = await client.as_browser().post("/auth/login?next=/reports", data=form)

    assert page.status_code == 401
    assert 'role="alert"' in page.text and "The sign-in details are not right." in page.text
    assert 'value="ada@example.com"' in page.text
    assert 'action="/auth/login?next=/reports"' in page.text
    assert "a-wrong-password" not in page.text


async def test_a_wrong_field_is_told_beside_it_and_where_it_is() -> None:
    async with running(MEMORY) as client:
        page = await client.as_browser().post("/auth/login", data={"email": "a" * 300, "password": "x"})

    assert page.status_code == 422
    assert '<a href="#login-email">' in page.text
    assert 'aria-describedby="login-email-problem" aria-invalid="true"' in page.text
    assert 'id="login-email-problem"' in page.text and "This is too long." in page.text


class Badge:
    """A stranger whose form stands on somebody else's page."""

    name, api = "badge", 1

    def __init__(self, path: str = "/badge") -> None:
        self.path = path

    @hookimpl
    def register_routes(self) -> list[Route]:
        return [Route(self.path, self.read, methods=["POST"])]

    async def read(self, request: Request) -> Response:
        raise Refused("This badge was reported lost.")


async def test_a_form_without_a_page_of_its_own_is_refused_on_the_page_where_its_person_is() -> None:
    async with running(MEMORY, ["defaults", Badge()]) as client:
        browser = client.as_browser()
        outside = await browser.post("/auth/badge", data={"number": "7"})
        await client.sign_in(await make_user(client.sigra))
        inside = await browser.post("/auth/badge", data={"number": "7"})

    assert (outside.status_code, inside.status_code) == (403, 403)
    assert "<h1>Sign in</h1>" in outside.text and "<h1>Your account</h1>" in inside.text
    assert all(page.text.count("This badge was reported lost.") == 1 for page in (outside, inside))


async def test_a_refused_form_of_a_stranger_gets_its_error_beside_it() -> None:
    template = "{% set form = forms.at('badge') %}[{{ form.error.detail if form.error }}|{{ form.value('number') }}]"
    plugin = decorated(Part("main", 1, "form"), form=template)
    async with running(MEMORY, ["defaults", Badge(), plugin]) as client:
        new = await client.get("/auth/login")
        refused = await client.as_browser().post("/auth/badge", data={"number": "7"})

    assert "[|]" in new.text
    assert "[This badge was reported lost.|7]" in refused.text
    assert refused.text.count("This badge was reported lost.") == 1


async def test_a_program_that_posts_a_form_gets_a_problem() -> None:
    async with running(MEMORY, ["defaults", Badge()]) as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        refused = await client.post("/auth/badge", data={"a": "b"}, headers={"authorization": f"Bearer {key}"})

    assert (refused.status_code, refused.json()["code"]) == (403, "session_required")


async def test_without_the_pages_plugin_forms_get_problems() -> None:
    async with running(MEMORY, ["defaults", "-pages"]) as client:
        page = await client.get("/auth/login", headers=PAGE)
        post = await client.post("/auth/login", data={"email": "a@example.com", "password": "x"})

    assert page.json()["status"] == 405
    assert (post.status_code, post.json()["code"]) == (401, "invalid_credentials")


# A step more


class CodeForm:
    """The form of a factor that is another plugin's."""

    name, api = "code_form", 1

    @hookimpl
    def register_templates(self) -> list[DictLoader]:
        return [DictLoader({"codes": '<input name="code" autocomplete="one-time-code">'})]

    @hookimpl
    async def parts_for_page(self, page: str) -> Sequence[Part] | None:
        return [Part("main", 100, "codes")] if page == "login/challenge" else None


async def challenged(client: Client) -> httpx2.Response:
    user = await make_user(client.sigra)
    form = {"email": user.email, "password": PASSWORD}
    return await client.as_browser().post("/auth/login", data=form)


async def test_the_page_of_the_next_step_shows_the_factors_of_who_signs_in() -> None:
    async with running(MEMORY, ["defaults", Factor(), CodeForm()]) as client:
        answer = await challenged(client)
        page = await client.get(answer.headers["location"], headers=PAGE)

    assert answer.headers["location"] == "/auth/login/challenge"
    assert page.status_code == 200
    assert "ada@example.com" in page.text
    assert "one-time-code" in page.text


async def test_a_step_that_no_plugin_has_a_form_for_says_so() -> None:
    async with running(MEMORY, ["defaults", Factor()]) as client:
        answer = await challenged(client)
        page = await client.get(answer.headers["location"], headers=PAGE)

    assert "It cannot be given on this page." in page.text
    assert 'href="/auth/login"' in page.text


async def test_a_sign_in_that_is_gone_says_so_and_leads_to_the_beginning() -> None:
    async with running(MEMORY, ["defaults", Factor(), CodeForm()]) as client:
        opened = await client.get("/auth/login/challenge", headers=PAGE)
        posted = await client.as_browser().post("/auth/login/factor", data={"code": "1"})

    for page in (opened, posted):
        assert page.status_code == 401
        assert "This sign-in has expired. Start again." in page.text
        assert 'href="/auth/login"' in page.text
        assert "one-time-code" not in page.text


async def test_what_is_refused_is_told_also_where_no_sign_in_waits() -> None:
    async with running(MEMORY, ["defaults", Factor()]) as client:
        foreign = {"origin": "https://evil.test"}
        page = await client.post("/auth/login/factor", data={"code": "right"}, headers=foreign)

    assert page.status_code == 403
    assert "The request comes from another origin." in page.text


# Errors of pages


class Failing:
    name, api = "failing", 1

    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    def register_routes(self) -> list[Route]:
        return [Route("/failing", self.fail, methods=["GET"])]

    async def fail(self, request: Request) -> Response:
        raise self.error


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (NotFound(), {}),
        (Refused(), {}),
        (Malformed(), {}),
        (TooManyAttempts(30), {"retry-after": "30"}),
        (Unavailable(7), {"retry-after": "7"}),
        (InternalError(), {}),
    ],
)
async def test_a_person_who_opens_a_page_is_told_by_a_page_and_a_program_by_a_problem(
    error: Any, headers: Mapping[str, str]
) -> None:
    async with running(MEMORY, ["defaults", Failing(error)]) as client:
        page = await client.get("/auth/failing", headers=PAGE)
        problem = await client.get("/auth/failing")

    assert page.status_code == problem.status_code == error.status
    assert page.headers["content-type"].startswith("text/html")
    assert f"<h1>{error.title}</h1>" in page.text and error.detail in page.text
    assert problem.json()["code"] == error.code
    assert headers.items() <= dict(page.headers).items()
    assert page.headers["cache-control"] == "no-store"


async def test_a_page_that_is_not_there_and_a_method_that_is_not_known_are_pages() -> None:
    async with running(MEMORY) as client:
        absent = await client.get("/auth/nowhere", headers=PAGE)
        method = await client.get("/auth/logout", headers=PAGE)

    assert (absent.status_code, method.status_code) == (404, 405)
    assert "POST" in method.headers["allow"]
    assert "<h1>Not found</h1>" in absent.text and "<h1>Method not allowed</h1>" in method.text


async def test_what_fails_on_a_page_is_not_told() -> None:
    async with running(MEMORY, ["defaults", Failing(RuntimeError("a secret"))]) as client:
        page = await client.get("/auth/failing", headers=PAGE)

    assert page.status_code == 500
    assert "Something went wrong on our side." in page.text
    assert "a secret" not in page.text


async def test_the_application_keeps_its_problems() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise Refused

    async with running(MEMORY, app=app) as client:
        refused = await client.get("/authors", headers=PAGE)

    assert (refused.status_code, refused.json()["code"]) == (403, "refused")


async def test_a_mounted_application_has_the_same_pages() -> None:
    async with running(MEMORY) as client:
        scope_of_a_mount = Client(client.app, client.sigra)
        scope_of_a_mount._transport.root_path = "/mounted"
        page = await scope_of_a_mount.get("/mounted/auth/nowhere", headers=PAGE)

    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text


@pytest.mark.parametrize("template", ["pages/error.html", "pages/login.html", "password/login.html"])
async def test_an_error_is_told_also_when_its_page_is_broken(template: str, caplog: pytest.LogCaptureFixture) -> None:
    plugin = Decorated("decorated")
    plugin.templates[template] = "{{ nobody }}"
    async with running(MEMORY, ["defaults", plugin]) as client:
        absent = await client.get("/auth/nowhere", headers=PAGE)
        refused = await client.as_browser().post("/auth/login", data={"email": "ada@example.com", "password": "x"})

    assert (absent.status_code, refused.status_code) == (404, 401)
    assert "'nobody' is undefined" in caplog.text
    assert "nobody" not in absent.text + refused.text


async def test_a_plugin_may_render_errors_otherwise() -> None:
    class Otherwise:
        name, api = "otherwise", 1

        @hookimpl
        async def render_error(self, error: Refused) -> Response:
            return Response(f"sorry: {error.code}", error.status)

    async with running(MEMORY, ["defaults", Otherwise()]) as client:
        page = await client.get("/auth/nowhere", headers=PAGE)

    assert (page.status_code, page.text) == (404, "sorry: not_found")


# The host's templates


async def test_a_template_of_the_host_comes_before_all_others(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/login.html").write_text("the host's {{ parts('main') }}")
    (tmp_path / "password").mkdir()
    (tmp_path / "password/login.html").write_text("[the host's form]")
    plugin = decorated(pages__login="the plugin's")
    async with running(MEMORY, ["defaults", plugin], templates=[str(tmp_path)]) as client:
        page = await client.get("/auth/login")

    assert page.text == "the host's [the host's form]"


async def test_a_template_of_a_plugin_comes_before_ours() -> None:
    plugin = Decorated("decorated")
    plugin.templates["pages/login.html"] = "the plugin's"
    async with running(MEMORY, ["defaults", plugin]) as client:
        page = await client.get("/auth/login")

    assert page.text == "the plugin's"


async def test_the_host_fills_the_blocks_of_the_layout(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/error.html").write_text(
        '{% extends "pages/layout.html" %}{% block title %}Oh{% endblock %}{% block head %}[head]{% endblock %}'
        "{% block header %}[header]{% endblock %}{% block content %}[content]{% endblock %}"
        "{% block footer %}[footer]{% endblock %}{% block width %}wide{% endblock %}"
    )
    async with running(MEMORY, templates=[str(tmp_path)]) as client:
        page = await client.get("/auth/nowhere", headers=PAGE)

    places = [page.text.index(text) for text in ("[head]", '<body class="wide">', "[header]", "[content]", "[footer]")]
    assert places == sorted(places)
    assert "<h1>Oh</h1>" in page.text


def test_hc48_two_plugins_with_one_template_are_refused() -> None:
    plugins = ["defaults", decorated(name="one", x="1", y="1"), decorated(name="two", z="2", x="2")]

    with pytest.raises(ConfigurationError) as refused:
        Sigra(cheap_settings(), plugins)

    assert "Two bring the template x: plugin one and plugin two." in refused.value.detail


def test_hc49_a_folder_of_templates_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        cheap_settings(templates=[str(tmp_path / "nowhere")])

    assert refused.value.detail.startswith("SIGRA_TEMPLATES: ")


# The look


async def test_every_page_bears_the_title_the_logo_and_the_style_of_the_application() -> None:
    look = {"title": "Acme & Sons", "logo": "/logo.svg", "stylesheet": "/acme.css"}
    async with running(MEMORY, pages=look) as client:
        page = await client.get("/auth/login")

    assert "<title>Sign in · Acme &amp; Sons</title>" in page.text
    assert '<img src="/logo.svg" alt="" height="32">' in page.text
    assert page.text.index('href="/auth/style.css"') < page.text.index('href="/acme.css"')


@pytest.mark.parametrize("option", ["logo", "stylesheet"])
@pytest.mark.parametrize("path", ["https://cdn.example/x", "//cdn.example/x", "/\\cdn.example", "x.css", "/", "/a b"])
def test_hc49_what_the_policy_of_the_pages_would_not_load_is_refused(option: str, path: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Sigra(cheap_settings(pages={option: path}))

    assert refused.value.detail.startswith(f"SIGRA_PAGES__{option.upper()}: ")


async def test_hc38_the_style_is_served_and_every_page_is_under_a_strict_policy() -> None:
    async with running(MEMORY) as client:
        style = await client.get("/auth/style.css")
        await client.sign_in(await make_user(client.sigra))
        pages = [await client.get(path, headers=PAGE) for path in ("/auth/login", "/auth/account", "/auth/nowhere")]

    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "--sigra-accent" in style.text and "&#" not in style.text
    for page in pages:
        assert "default-src 'none'" in page.headers.get("content-security-policy", "")
        assert "frame-ancestors 'none'" in page.headers.get("content-security-policy", "")
        assert page.headers.get("x-frame-options") == "DENY"
        assert page.headers.get("cache-control") == "no-store"
        assert page.headers.get("referrer-policy") == "same-origin"
        assert page.headers.get("x-content-type-options") == "nosniff"
        assert "<script" not in page.text and " style=" not in page.text


# What comes from outside


async def test_hc38_the_page_shows_nothing_of_the_query_unescaped() -> None:
    async with running(MEMORY) as client:
        query = {"next": HOSTILE, "done": HOSTILE}
        login = await client.get("/auth/login", params=query)
        await client.sign_in(await make_user(client.sigra))
        account = await client.get("/auth/account", params=query, headers=PAGE)

    assert '<form method="post" action="/auth/login?next=' in login.text
    assert "<script" not in login.text + account.text


async def test_hc38_what_was_typed_comes_back_escaped() -> None:
    async with running(MEMORY) as client:
        page = await client.as_browser().post("/auth/login", data={"email": HOSTILE, "password": "x", HOSTILE: HOSTILE})

    assert page.status_code == 401
    assert "&#34;&#39;&gt;&lt;script&gt;" in page.text
    assert "<script" not in page.text


async def test_a_form_that_is_too_large_or_from_elsewhere_is_refused_on_its_page() -> None:
    async with running(MEMORY) as client:
        large = await client.as_browser().post("/auth/login", data={"email": "a" * 70_000, "password": "x"})
        foreign = client.as_browser(site="cross-site", origin="https://evil.test")
        elsewhere = await foreign.post("/auth/login", data={"email": "ada@example.com", "password": "x"})

    assert (large.status_code, elsewhere.status_code) == (413, 403)
    assert "The request body is too large." in large.text
    assert "The request comes from another origin." in elsewhere.text
    assert "aaaa" not in large.text


async def test_every_way_on_a_page_is_below_the_mount_path() -> None:
    async with running(MEMORY, mount_path="/id/auth") as client:
        await client.sign_in(await make_user(client.sigra))
        other = Client(client.app, client.sigra)
        await other.sign_in(await make_user(client.sigra, "bob@example.com"))
        await make_api_key(client.sigra, await client.sigra.users.by_email("ada@example.com"))  # type: ignore[arg-type]
        pages = [await client.get(f"/id/auth/{page}", headers=PAGE) for page in ("account", "login", "nowhere")]
        anonymous = await Client(client.app, client.sigra).get("/id/auth/login", headers=PAGE)

    ways = [way for page in [*pages, anonymous] for way in re.findall(r'(?:href|action)="([^"#]+)', page.text)]
    assert len(ways) > 10
    assert [way for way in ways if not way.startswith("/id/auth/")] == []

"""Pages: every value escaped, a missing one an error, the first source wins."""

import pytest
from jinja2 import DictLoader, FunctionLoader, TemplateNotFound, UndefinedError

from sigra.http.headers import script_hash
from sigra.http.rendering import Renderer, names_in
from sigra.models import Part


def page(source, **context):
    return Renderer([DictLoader({"page": source})]).render("page", context)


def test_hc38_every_value_is_escaped_whatever_the_template_is_called():
    for name in ("page", "page.html", "page.txt", "page.svg"):
        renderer = Renderer([DictLoader({name: "<a title='{{ x }}'>{{ x }}</a>"})])

        assert (
            renderer.render(name, {"x": "<'\">&"}) == "<a title='&lt;&#39;&#34;&gt;&amp;'>&lt;&#39;&#34;&gt;&amp;</a>"
        )


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        page("{{ nobody }}")
    with pytest.raises(UndefinedError):
        page("{% if nobody %}{% endif %}")


def test_the_first_source_wins(tmp_path):
    (tmp_path / "page").write_text("host")
    core = DictLoader({"page": "core", "other": "core"})
    renderer = Renderer([tmp_path, core])

    assert renderer.render("page", {}) == "host"
    assert renderer.render("other", {}) == "core"


@pytest.mark.parametrize("name", ["nowhere", "../secret", "/etc/passwd", "a/../../secret", "..\\secret"])
def test_what_is_outside_the_sources_is_not_found(tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "templates").mkdir()

    with pytest.raises(TemplateNotFound):
        Renderer([str(tmp_path / "templates")]).render(name, {})


def test_a_page_is_an_html_answer():
    response = Renderer([DictLoader({"page": "hello {{ name }}"})]).response("page", {"name": "<b>"}, 401)

    assert response.status_code == 401
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.body == b"hello &lt;b&gt;"


def test_hc50_two_renderings_do_not_share_values():
    renderer = Renderer([DictLoader({"page": "{% set x = name %}{{ x }}"})])

    assert [renderer.render("page", {"name": name}) for name in ("a", "b")] == ["a", "b"]


# Parts


def parts(source, *placed, **templates):
    renderer = Renderer([DictLoader({"page": source, **templates})])
    return renderer.parts([("badge", placed)], {"shared": "<s>"})


def test_a_part_is_rendered_with_what_every_page_has_and_its_own():
    shown = parts("", Part("main", 1, "part", {"own": "<o>"}), part="{{ shared }}{{ own }}")

    assert shown("main") == "&lt;s&gt;&lt;o&gt;"
    assert not shown.failed


def test_hc38_a_page_that_shows_a_part_escapes_nothing_twice_and_nothing_less():
    renderer = Renderer([DictLoader({"page": "{{ parts('main') }}{{ x }}", "part": "<b>{{ x }}</b>"})])
    shown = renderer.parts([("badge", [Part("main", 1, "part", {"x": "<i>"})])], {})

    assert renderer.render("page", {"parts": shown, "x": "<i>"}) == "<b>&lt;i&gt;</b>&lt;i&gt;"


def test_a_slot_without_parts_is_empty():
    shown = parts("")

    assert shown("main") == "" and not shown("main")


def test_hc47_a_part_that_fails_is_reported_and_the_rest_are_shown(caplog):
    shown = parts(
        "", Part("main", 1, "bad"), Part("main", 2, "none"), Part("main", 3, "good"), bad="{{ x }}", good="ok"
    )

    assert shown("main") == "ok"
    assert shown.failed
    assert "the part bad of plugin badge" in caplog.text


def test_parts_of_one_order_stay_as_they_came():
    placed = [Part("main", order, "part", {"n": n}) for n, order in enumerate([5, 1, 5, 1])]

    assert parts("", *placed, part="{{ n }}")("main") == "1302"


def test_what_is_in_a_source_is_listed_as_far_as_it_can_tell(tmp_path):
    (tmp_path / "badge").mkdir()
    (tmp_path / "badge/login.html").write_text("")

    assert list(names_in(tmp_path)) == ["badge/login.html"]
    assert list(names_in(DictLoader({"b": "", "a": ""}))) == ["a", "b"]
    assert list(names_in(FunctionLoader(lambda name: None))) == []


SCRIPTS = {"one.js": "go(1 < 2 && 3)", "two.js": "stop()", "page": "<h1>{{ title }}</h1>{{ script('one.js') }}"}


def test_hc38_a_page_allows_the_scripts_that_its_templates_name_and_no_others():
    renderer = Renderer([DictLoader({**SCRIPTS, "both": "{{ script('one.js') }}{{ script('two.js') }}", "none": ""})])

    one, both, none = (
        renderer.response(name, {"title": "<script>stop()</script>"}) for name in ("page", "both", "none")
    )

    assert one.body == b"<h1>&lt;script&gt;stop()&lt;/script&gt;</h1><script>go(1 < 2 && 3)</script>"
    assert one.headers["content-security-policy"].endswith(f"; script-src '{script_hash('go(1 < 2 && 3)')}'")
    assert script_hash("stop()") in both.headers["content-security-policy"]
    assert "content-security-policy" not in none.headers
    assert script_hash("stop()") not in renderer.response("page", {"title": ""}).headers["content-security-policy"]


def test_hc38_a_script_is_given_no_values():
    renderer = Renderer([DictLoader({**SCRIPTS, "one.js": "go({{ title }})"})])

    with pytest.raises(UndefinedError):
        renderer.response("page", {"title": "evil()"})


def test_a_host_may_replace_a_script(tmp_path):
    (tmp_path / "one.js").write_text("mine()")
    renderer = Renderer([tmp_path, DictLoader(SCRIPTS)])

    response = renderer.response("page", {"title": ""})

    assert b"<script>mine()</script>" in response.body
    assert script_hash("mine()") in response.headers["content-security-policy"]


def test_a_part_may_bring_a_script():
    renderer = Renderer([DictLoader({**SCRIPTS, "frame": "{{ parts('main') }}"})])
    parts = renderer.parts([("badge", [Part("main", 1, "page", {"title": ""})])], {})

    assert (
        script_hash("go(1 < 2 && 3)") in renderer.response("frame", {"parts": parts}).headers["content-security-policy"]
    )

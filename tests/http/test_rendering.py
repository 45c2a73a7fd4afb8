"""Pages: every value escaped, a missing one an error, the first source wins."""

import pytest
from jinja2 import DictLoader, TemplateNotFound, UndefinedError

from sigra.http.rendering import Renderer


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

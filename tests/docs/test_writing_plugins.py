"""The plugin of the page is built, installed, tested and tried by the page's own commands."""

from __future__ import annotations

from pathlib import Path

from tests.player import played


def test_the_plugin_of_the_page_works_as_the_page_says(tmp_path: Path):
    with played("docs/writing-plugins.md", tmp_path) as page:
        told = page.output.splitlines()

    assert any(line.endswith("passed") or " passed in " in line for line in told), page.output
    assert '"aal2"' in page.output or '"status":"signed_in"' in page.output
    assert "Hello, ada@example.com!" in told

"""The documentation becomes a site without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.player import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    subprocess.run([*command, "-d", folder / "doctrees", ROOT / "docs", folder / "html"], check=True)
    return folder / "html"


def test_every_page_is_in_the_index_for_language_models(site: Path):
    index = (site / "llms.txt").read_text("utf-8")

    for page in (ROOT / "docs").rglob("*.md"):
        assert f"{page.relative_to(ROOT / 'docs')}.txt" in index


def test_the_site_asks_nobody_else_for_anything(site: Path):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert 'src="http' not in text
        assert '<link rel="stylesheet" type="text/css" href="http' not in text

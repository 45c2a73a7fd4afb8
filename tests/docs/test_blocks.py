"""No code of a page is only there to be looked at: each language has a runner, and every block is run by it."""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jinja2
import pytest

from sigra import hookspecs
from sigra.mail.catalogues import Catalogues
from sigra.mail.rendering import MailRenderer
from sigra.settings import from_sources
from tests.cli.conftest import SETTINGS
from tests.player import ROOT, Block, blocks, executed, played

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
NOT_RUN = {"docs/benchmarks.md": "measures for minutes"}
ALL = [block for page in PAGES if page not in NOT_RUN for block in blocks(page)]
SHOWN = {
    "docs/architecture.md": "a diagram, compared with the rooms by another test",
    "docs/attack.md": "a report, compared with a broken build's by another test",
    "docs/cli.md": "usage, compared with the commands by another test",
    "docs/openapi.md": "what a program of another project makes",
}
"""Where text is only shown, and why that is no code that nobody runs."""
OF_THE_SITE = "{eval-rst}"
"""What the site's builder runs."""


def parsed(block: Block, _: Path) -> None:
    json.loads(block.text)


def parsed_template(block: Block, _: Path) -> None:
    jinja2.Environment(autoescape=True).parse(block.text)


def said(block: Block, _: Path) -> None:
    """A message, as text and as HTML."""
    sources = [jinja2.DictLoader({"mail/it.jinja": block.text}), ROOT / "sigra/templates"]
    renderer = MailRenderer(sources, Catalogues([]))
    values = dict.fromkeys(("host", "link", "token", "code", "product", "home"), "x")
    assert all(renderer.render("it", "en", values))


def read(block: Block, folder: Path) -> None:
    """A `sigra.toml` is read as Sigra does; a `pyproject.toml` says how it is built."""
    found = tomllib.loads(block.text)
    assert block.file in ("sigra.toml", "pyproject.toml"), f"{block}: say in the first line which file it is"
    if block.file == "sigra.toml":
        (folder / "sigra.toml").write_text(block.text)
        from_sources({"SIGRA_SECRET_KEYS": "k" * 32, "SIGRA_BASE_URL": "https://example.com"}, folder)
    else:
        assert found["project"]["name"]


def run(block: Block, _: Path) -> None:
    executed(block)


def parsed_style(block: Block, _: Path) -> None:
    """A style sheet sets variables that ours knows."""
    ours = (ROOT / "sigra/templates/pages/style.css").read_text("utf-8")
    assert block.text.count("{") == block.text.count("}")
    for name in re.findall(r"(--[\w-]+)\s*:", block.text):
        assert f"{name}:" in ours, name


RUNNERS: dict[str, Callable[[Block, Path], object]] = {
    "python": run,
    "toml": read,
    "json": parsed,
    "html": parsed_template,
    "jinja": said,
    "css": parsed_style,
}
IN_A_SHELL = {block.page for block in ALL if block.language == "sh"}
"""Pages with commands are played as a whole: their files are run there."""


def is_run_alone(block: Block) -> bool:
    if block.page == "docs/hooks.md":
        return False  # below: signatures are no programs
    return block.language in RUNNERS and not (block.page in IN_A_SHELL and block.file)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, and an environment in which `Sigra.from_settings()` works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "example", None)
    for name, value in SETTINGS.items():
        monkeypatch.setitem(os.environ, name, value)
    return tmp_path


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_has_a_runner(block: Block):
    assert block.language in {*RUNNERS, "sh", OF_THE_SITE} or (block.language == "text" and block.page in SHOWN)


@pytest.mark.parametrize("block", [pytest.param(one, id=str(one)) for one in ALL if is_run_alone(one)])
def test_every_block_runs(block: Block, configured: Path):
    RUNNERS[block.language](block, configured)


@pytest.mark.parametrize("page", sorted(IN_A_SHELL - {"docs/quickstart.md", "docs/writing-plugins.md"}))
def test_the_commands_of_every_page_run(page: str, tmp_path: Path):
    with played(page, tmp_path) as it:
        assert "Traceback" not in it.output


@pytest.mark.parametrize("block", [pytest.param(b, id=str(b)) for b in ALL if b.page == "docs/hooks.md"])
def test_every_signature_of_the_hooks_is_the_true_one(block: Block):
    namespace = dict(vars(hookspecs))
    exec(compile(block.text, str(block), "exec", dont_inherit=True), namespace)
    name = next(name for name in namespace if namespace[name] is not vars(hookspecs).get(name) and name[0] != "_")
    signature = partial(inspect.signature, eval_str=True)

    assert signature(namespace[name]) == signature(getattr(hookspecs, name))
    assert inspect.iscoroutinefunction(namespace[name]) == inspect.iscoroutinefunction(getattr(hookspecs, name))


def test_a_block_without_a_language_has_no_runner(configured: Path):
    page = configured / "page.md"
    page.write_text("```\nwhat is this\n```\n\n    nor this\n\n1. In a list:\n\n   ```python\n   1 / 0\n   ```\n")
    found = blocks(str(page))

    assert [block.language for block in found] == ["", "", "python"]
    with pytest.raises(ZeroDivisionError):
        executed(found[2])

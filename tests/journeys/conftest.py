"""One demo and one browser for a file of journeys; each journey gets a browser profile of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.journeys.demo import Demo, running

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


# Not for longer: while it runs, no other test of this process can have an event loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "chromium is not installed; `make test` as root installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, demo: Demo) -> Iterator[Callable[..., Page]]:
    """`open_page(java_script_enabled=False)`: a page of a fresh profile, at the demo."""
    contexts = []

    def open_page(**options: object) -> Page:
        contexts.append(chromium.new_context(base_url=demo.url, **options))
        return contexts[-1].new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(params=["light", "dark"])
def context(request: pytest.FixtureRequest, chromium: Browser, demo: Demo) -> Iterator[BrowserContext]:
    """A small window, in which axe may run in spite of the pages' policy, and no colour is on its way to another."""
    context = chromium.new_context(
        base_url=demo.url,
        color_scheme=request.param,
        viewport={"width": 320, "height": 640},
        reduced_motion="reduce",
        bypass_csp=True,
    )
    yield context
    context.close()

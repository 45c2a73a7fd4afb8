"""The quickstart leads where it says, on either framework, by its own commands."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.player import PASSWORD, played

FASTAPI, STARLETTE = 0, 1
PAGE = {"accept": "text/html"}


@pytest.mark.parametrize("variant", [FASTAPI, STARLETTE], ids=["fastapi", "starlette"])
def test_the_quickstart_ends_at_a_page_that_greets(variant: int, tmp_path: Path):
    page = played("docs/quickstart.md", tmp_path, variant=variant)
    with page as it, httpx2.Client(base_url=f"http://localhost:{it.port}", headers=PAGE, timeout=60) as browser:
        stranger = browser.get("/")
        form = browser.get(stranger.headers["location"])
        proof = {"email": "ada@example.com", "password": PASSWORD}
        signed_in = browser.post(stranger.headers["location"], data=proof)
        greeting = browser.get(signed_in.headers["location"])

    assert stranger.headers["location"] == "/auth/login?next=%2F"
    assert 'name="password"' in form.text
    assert signed_in.headers["location"] == "/"
    assert "Hello, ada@example.com!" in greeting.text
    assert it.output.rstrip().endswith("<h1>Hello, ada@example.com!</h1>")  # what the program got

"""What the page on providers shows does what it says, and so does the example."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

from sigra.testing import Client, FrozenClock, create_tables
from sigra_oauth.building import make_providers
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.presets import presets
from tests.apps import running
from tests.docs.test_examples import load
from tests.oauth import hostile
from tests.oauth.dancing import answered, come_back, counted, dance
from tests.oauth.serving import place
from tests.player import ROOT, Block, blocks, executed
from tools.document_presets import lines

PAGE = "docs/plugins/oauth.md"
EXAMPLE = ROOT / "docs" / "examples" / "providers_app.py"
MEMORY = "sqlite:///:memory:"
ENDPOINTS = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Runs the block of the page that has a text."""
    monkeypatch.setitem(sys.modules, "example", None)

    def run(text: str) -> Any:
        [block] = [one for one in blocks(PAGE) if one.language == "python" and text in one.text]
        return executed(block)

    return run


async def test_the_example_signs_in_by_a_provider_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with hostile.running(lambda: datetime.now(UTC)) as provider:
        entry = {"hostile": {**provider.options(), "label": "Work & Co"}}
        monkeypatch.setenv("SIGRA_OAUTH__PROVIDERS", json.dumps(entry))
        example = load(EXAMPLE, monkeypatch, tmp_path)
        async with example.auth as auth, Client(example.app, auth) as client:
            await create_tables(auth)
            stranger = (await client.get("/")).text
            form = {"data": {"next": "/private"}, "headers": {"accept": "text/html"}}
            begun = await client.post("/auth/oauth/hostile/start", **form)
            callback = await answered(begun.headers["location"])
            back = await come_back(client, callback, accept="text/html")
            private = (await client.get(back.headers["location"])).text

    assert 'action="/auth/oauth/hostile/start"' in stranger
    assert "Continue with Work &amp; Co" in stranger
    assert back.headers["location"] == "/private"
    assert private == "For ada@example.com alone."


class Forum(hostile.Hostile):
    """Tells who somebody is in words of its own."""

    state = "confirmed"

    async def userinfo(self, request: Request) -> JSONResponse:
        mail = {"address": "ada@example.com", "state": self.state}
        return JSONResponse({"member": {"number": 7, "nick": "Ada"}, "mail": mail})


@pytest.mark.parametrize(("state", "status"), [("confirmed", 200), ("typed", 202)])
async def test_a_provider_of_ones_own_is_like_any_other(shown: Callable[[str], Any], state: str, status: int):
    module = shown("class Forum(")
    with place() as here:
        provider = Forum(here.origin, FrozenClock(), "http://localhost/auth/oauth/forum/callback")
        provider.state = state
        here.app = provider.application()
        urls = {f"{name}_endpoint": provider.url(path) for name, path in ENDPOINTS.items()}
        shown_options = tomllib.loads(next(one.text for one in blocks(PAGE) if "[forum]" in one.text))["forum"]
        ours = {"client_id": provider.client_id, "client_secret": provider.client_secret}
        own = module.ForumSignIn(**{**shown_options, **ours, **urls})
        async with running(MEMORY, ["defaults", "oauth", own], clock=provider.clock) as client:
            answer = await dance(client, "forum")
            counts = await counted(client)

    assert answer.status_code == status
    assert counts["sigra_sessions"] == (1 if status == 200 else 0)


async def test_the_application_gets_a_token(shown: Callable[[str], Any]):
    calendar = shown("async def calendar").calendar
    clock = FrozenClock()
    with hostile.running(clock, name="google") as provider:
        options = {"providers": {"google": provider.options(keep_tokens=True)}}
        async with running(MEMORY, ["defaults", "oauth"], clock=clock, oauth=options) as client:
            await dance(client, "google")
            user = await client.sigra.users.by_email("ada@example.com")
            headers = await calendar(client.sigra, user)

    assert headers["authorization"].removeprefix("Bearer ") in provider.people


@pytest.mark.parametrize("block", [one for one in blocks(PAGE) if one.language == "toml"], ids=str)
def test_the_options_of_the_page_make_providers(block: Block):
    read = tomllib.loads(block.text)
    options = Options(providers={"forum": read["forum"]}) if "forum" in read else Options(**read["oauth"])

    assert make_providers(options, development=False, clock=FrozenClock()).keys() == options.providers.keys()


def test_every_preset_is_in_the_table():
    assert len(list(lines())) == 2 + len(presets())


@pytest.mark.parametrize("model", [ProviderOptions, Options], ids=lambda one: one.__name__)
def test_every_option_of_a_provider_is_on_the_page(model: type[BaseModel]):
    page = (ROOT / PAGE).read_text("utf-8")

    assert [name for name in model.model_fields if f"`{name}`" not in page and f"__{name.upper()}`" not in page] == []

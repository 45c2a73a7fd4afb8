"""The code of docs/integrations.md runs and does what the page says of it."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sigra.testing import cheap_settings, make_api_key, make_user
from tests.apps import running
from tests.test_docs import blocks

PAGE = "docs/integrations.md"
MEMORY = "sqlite:///:memory:"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Run a block of the page as a module, which FastAPI can look names up in."""

    def run(number: int) -> ModuleType:
        module = ModuleType("example")
        monkeypatch.setitem(sys.modules, "example", module)
        exec(compile(blocks(PAGE, "python")[number], "example", "exec"), vars(module))
        return module

    return run


async def test_starlette_knows_whoever_is_signed_in(run: Callable[[int], Any]) -> None:
    example = run(0)
    app = example.Starlette(routes=example.routes)

    async with running(MEMORY, app=app, starlette_user=True) as client:
        user = await make_user(client.sigra)
        key = {"authorization": f"Bearer {await make_api_key(client.sigra, user, 'reports:read')}"}
        answers = [await client.get("/"), await client.get("/", headers=key), await client.get("/reports", headers=key)]
        refused = [await client.get("/reports"), await client.get("/account")]
        sent = await client.get("/account", headers={"accept": "text/html"})

    texts = [answer.text for answer in answers]
    assert texts == ["Hello, stranger!", "Hello, ada@example.com!", "Reports for ada@example.com."]
    assert [answer.status_code for answer in refused] == [403, 401]
    assert sent.headers["location"] == "/auth/login?next=%2Faccount"


async def test_fastapi_knows_whoever_is_signed_in(run: Callable[[int], Any]) -> None:
    example = run(1)

    async with running(MEMORY, app=example.api) as client:
        user = await make_user(client.sigra)
        stranger = await client.get("/")
        refused = [await client.get("/account"), await client.delete("/reports")]
        await client.sign_in(user)
        known = [await client.get("/"), await client.get("/account")]
        too_little = await client.get("/reports")
        deleted = await client.delete("/reports")
        async with client.as_browser().websocket("/ws") as socket:
            greeting = await socket.receive_text()

    assert stranger.json() == "Hello, stranger!"
    assert [answer.status_code for answer in refused] == [401, 401]
    assert [answer.json() for answer in known] == ["Hello, ada@example.com!", "The account of ada@example.com."]
    assert (too_little.status_code, deleted.status_code) == (403, 200)
    assert greeting == "Hello, ada@example.com!"


async def test_fastapis_dependencies_are_overridden(run: Callable[[int], Any]) -> None:
    example = run(1)
    run(2).override(example.api, SimpleNamespace(email="stand-in@example.com"))

    async with running(MEMORY, app=example.api) as client:
        account = await client.get("/account")
        reports = await client.get("/reports")

    assert account.json() == "The account of stand-in@example.com."
    assert reports.json() == "Reports for stand-in@example.com."


@pytest.mark.parametrize("number", [0, 1])
async def test_each_example_is_built_from_settings(number: int, run: Callable[[int], Any]) -> None:
    auth, app = run(number).build(cheap_settings(MEMORY))

    assert callable(app)
    await auth.aclose()

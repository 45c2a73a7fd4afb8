"""What is counted about an address is counted apart for a browser that its account knows."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, Route, hookimpl
from sigra.testing import PASSWORD, Client, make_user
from tests.apps import Postbox, running

MAILS = {"url": "memory:"}


async def asked(client: Client, email: str = "ada@example.com") -> int:
    """Ask for a magic link; the status."""
    return (await client.post("/auth/magic-link", json={"email": email})).status_code


async def test_hc40_a_known_browser_has_its_mails_however_many_others_asked_for(database: str) -> None:
    async with running(database, ["defaults", Postbox()], limits=MAILS) as owner:
        await owner.sign_in(await make_user(owner.sigra))
        await owner.sign_out()
        stranger = Client(owner.app, owner.sigra)
        others = [await asked(stranger) for _ in range(5)]
        own = [await asked(owner) for _ in range(4)]

    assert others == [202, 202, 202, 429, 429]
    assert own == [202, 202, 202, 429]


async def test_hc40_a_browser_that_another_account_knows_has_none_more(database: str) -> None:
    async with running(database, ["defaults", Postbox()], limits=MAILS) as client:
        await make_user(client.sigra)
        await client.sign_in(await make_user(client.sigra, "eve@example.com"), PASSWORD)
        await client.sign_out()
        stranger = Client(client.app, client.sigra)
        others = [await asked(stranger) for _ in range(3)]

        assert others == [202, 202, 202]
        assert await asked(client) == 429


async def test_an_action_that_no_limit_is_on_is_a_plugins_fault(caplog: pytest.LogCaptureFixture) -> None:
    class Careless:
        name, api = "careless", 1

        @hookimpl
        def register_routes(self, auth: Auth) -> list[Route]:
            async def send(request: Request) -> Response:
                await auth.limit(request, "carless_send")
                return Response(status_code=204)

            return [Route("/careless", send, methods=["POST"])]

    async with running("sqlite:///:memory:", ["defaults", Careless()]) as client:
        answer: Any = await client.post("/auth/careless")

    assert answer.status_code == 500
    assert "no limit is on the action carless_send" in caplog.text

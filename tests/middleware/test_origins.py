"""Other origins' pages cannot act for a signed-in user, nor sign anybody in or out."""

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra import Route, hookimpl
from sigra.testing import WebSocketRefused, make_api_key, make_user
from tests.apps import running

CROSS = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "http://other.localhost"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
]


@pytest.mark.parametrize("headers", CROSS)
@pytest.mark.parametrize("path", ["/auth/login", "/auth/logout", "/auth/api-keys"])
async def test_hc35_cross_origin_posts_to_the_mount_path_are_refused(path: str, headers: dict[str, str]) -> None:
    async with running("sqlite:///:memory:") as client:
        response = await client.post(path, json={"email": "a@example.com", "password": "x"}, headers=headers)

    assert response.status_code == 403
    assert response.json()["code"] == "cross_origin"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("headers", CROSS)
async def test_hc35_the_wrapped_application_is_guarded_where_a_cookie_says_who_asks(headers: dict[str, str]) -> None:
    async with running("sqlite:///:memory:") as client:
        anonymous = await client.post("/", headers=headers)
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        by_key = await client.post("/", headers={**headers, "authorization": f"Bearer {key}"})
        await client.sign_in(user)
        by_cookie = await client.post("/", headers=headers)
        read = await client.get("/", headers=headers)

    assert anonymous.status_code == 200
    assert by_key.status_code == 200
    assert by_cookie.status_code == 403
    assert read.status_code == 200


async def test_hc35_a_client_without_a_browser_and_our_own_pages_pass() -> None:
    async with running("sqlite:///:memory:") as client:
        user = await make_user(client.sigra)
        await client.sign_in(user)
        plain = await client.post("/")
        own = await client.as_browser().post("/")

    assert plain.status_code == 200
    assert own.status_code == 200


async def test_a_trusted_origin_passes_and_may_read_refusals() -> None:
    async with running("sqlite:///:memory:", trusted_origins=["https://app.example"]) as client:
        headers = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
        wrong = await client.post("/auth/login", json={"email": "a@example.com", "password": "x"}, headers=headers)
        preflight = await client.options("/auth/login", headers={**headers, "access-control-request-method": "POST"})
        private = await client.get("/private", headers=headers)
        stranger = await client.options(
            "/auth/login", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
        )

    assert wrong.json()["code"] == "invalid_credentials"
    for response in (wrong, preflight, private):
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        assert response.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in stranger.headers


class Webhook:
    """A route that takes foreign posts."""

    name, api = "webhook", 1

    @hookimpl
    def register_routes(self) -> list[Route]:
        return [
            Route("/webhook", self.take, methods=["POST"], cross_origin=True),
            Route("/closed", self.take, methods=["POST"]),
        ]

    async def take(self, request: Request) -> Response:
        user = request.scope["sigra.user"]
        return JSONResponse({"user": user and user.email, "method": request.method})


async def test_hc35_a_route_open_to_foreign_posts_gets_no_cookie_identity() -> None:
    async with running("sqlite:///:memory:", ["defaults", Webhook()]) as client:
        await client.sign_in(await make_user(client.sigra))
        open_ = await client.post("/auth/webhook", headers=CROSS[0])
        closed = await client.post("/auth/closed", headers=CROSS[0])
        own = await client.post("/auth/closed")

    assert open_.json() == {"user": None, "method": "POST"}
    assert closed.status_code == 403
    assert own.json() == {"user": "ada@example.com", "method": "POST"}


@pytest.mark.parametrize("headers", [*CROSS, {}])
async def test_hc35_a_cross_site_websocket_handshake_is_refused(headers: dict[str, str]) -> None:
    async with running("sqlite:///:memory:") as client:
        await client.sign_in(await make_user(client.sigra))
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/ws", headers=headers):
                pass

    assert refused.value.response.status_code == 403


class Neighbours(Webhook):
    """Of one path: open to foreign posts, and closed."""

    name = "neighbours"

    @hookimpl
    def register_routes(self) -> list[Route]:
        return [
            Route("/webhook", self.take, methods=["POST"], cross_origin=True),
            Route("/webhook", self.take, methods=["DELETE"]),
        ]


async def test_hc35_a_foreign_form_does_not_reach_a_closed_route_by_way_of_an_open_one() -> None:
    async with running("sqlite:///:memory:", ["defaults", Neighbours()]) as client:
        response = await client.post("/auth/webhook", data={"_method": "DELETE"}, headers=CROSS[0])
        method = await client.request("DELETE", "/auth/webhook", headers=CROSS[0])

    assert response.text == '{"user":null,"method":"POST"}'
    assert method.status_code == 403

"""WebSockets: refused before they are accepted, and closed when their identity is gone."""

import asyncio
from datetime import timedelta

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from sigra import SigraError, current_user
from sigra.testing import FrozenClock, WebSocketClosed, WebSocketRefused, make_api_key, make_user
from tests.apps import running


async def test_a_socket_greets_whoever_is_signed_in() -> None:
    async with running("sqlite:///:memory:") as client:
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            await socket.send_text("hello")

            assert await socket.receive_text() == "ada@example.com: hello"


@pytest.mark.parametrize("denial", [True, False])
async def test_an_anonymous_handshake_is_refused_before_it_is_accepted(denial: bool) -> None:
    async with running("sqlite:///:memory:") as client:
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/ws", denial=denial):
                pass

    assert refused.value.response.status_code == (401 if denial else 403)


async def test_a_handshake_with_a_bad_key_is_refused() -> None:
    async with running("sqlite:///:memory:") as client:
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/ws", headers={"authorization": "Bearer sigra_sk_bad"}):
                pass

    assert refused.value.response.json()["code"] == "invalid_token"


async def test_the_mount_path_has_no_sockets() -> None:
    async with running("sqlite:///:memory:") as client:
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/auth/login"):
                pass

    assert refused.value.response.status_code == 404


async def test_hc8_an_open_socket_is_closed_once_its_session_is_gone() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            await client.sign_out()
            await socket.send_text("still trusted for a moment")
            first = await socket.receive_text()
            clock.tick(timedelta(seconds=31))
            await socket.send_text("now it is looked up")
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive_text()

    assert first.endswith("for a moment")
    assert closed.value.code == 4401


async def test_hc8_an_open_socket_of_a_revoked_key_is_closed() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        user = await make_user(client.sigra)
        key = await make_api_key(client.sigra, user)
        async with client.websocket("/ws", headers={"authorization": f"Bearer {key}"}) as socket:
            await client.sigra.db.transaction(lambda tx: client.sigra.revoke(tx, user, "compromised"))
            clock.tick(timedelta(seconds=31))
            await socket.send_text("hello?")
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive_text()

    assert closed.value.code == 4401


async def test_an_open_socket_whose_session_lives_goes_on() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            clock.tick(timedelta(seconds=31))
            await socket.send_text("hello")

            assert await socket.receive_text() == "ada@example.com: hello"


async def test_an_open_socket_is_told_to_come_back_while_the_database_is_away() -> None:
    clock = FrozenClock()
    async with running("sqlite:///:memory:", clock=clock) as client:
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            await client.sigra.db.transaction(lambda tx: tx.run_sync(client.sigra.metadata.drop_all))
            clock.tick(timedelta(seconds=31))
            await socket.send_text("hello?")
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive_text()

    assert closed.value.code == 1013


async def test_a_refusal_after_the_handshake_was_read_is_sent_at_once() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await current_user(HTTPConnection(scope))

    async with running("sqlite:///:memory:", app=app) as client:
        with pytest.raises(WebSocketRefused) as refused:
            async with asyncio.timeout(5), client.websocket("/ws"):
                pass

    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("accepts", [False, True])
async def test_a_refusal_that_a_framework_made_something_of_is_told_as_what_it_is(accepts: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if accepts:
            await send({"type": "websocket.accept"})
        try:
            await current_user(HTTPConnection(scope))
        except SigraError:
            await send({"type": "websocket.close", "code": 4500})

    async with running("sqlite:///:memory:", app=app) as client:
        if accepts:
            async with client.websocket("/ws") as socket:
                with pytest.raises(WebSocketClosed) as closed:
                    await socket.receive_text()
            assert closed.value.code == 4401
            return
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/ws"):
                pass

    assert refused.value.response.status_code == 401

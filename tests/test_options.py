"""Options at work: what each changes for whoever asks, where no room's own tests show it."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest

from sigra import TooManyAttempts, hookimpl
from sigra.testing import FrozenClock, WebSocketClosed, cheap_settings, installation, make_user
from tests.apps import running

MEMORY = "sqlite:///:memory:"


async def test_hashes_have_as_many_lanes_as_wanted():
    async with installation(cheap_settings(MEMORY, password={"memory_kib": 16, "time": 1, "parallelism": 2})) as auth:
        hashed = await auth.hasher.hash("a password")

    assert ",p=2$" in hashed


async def test_sign_ins_above_the_queue_are_told_to_come_back():
    # A hash that takes longer than the way to it, and more sign-ins than there are cores.
    many = 8 * (os.cpu_count() or 1) + 16
    async with running(MEMORY, password={"memory_kib": 19_456, "time": 2, "queue": 1}) as client:
        user = await make_user(client.sigra)
        answers = await asyncio.gather(*(client.sign_in(user) for _ in range(many)))

    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


async def test_an_open_socket_is_looked_up_as_often_as_wanted():
    clock = FrozenClock()
    async with running(MEMORY, clock=clock, websocket_recheck=2) as client:
        await client.sign_in(await make_user(client.sigra))
        async with client.as_browser().websocket("/ws") as socket:
            await client.sign_out()
            clock.tick(timedelta(seconds=3))
            await socket.send_text("hello")
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive_text()

    assert closed.value.code == 4401


class Lock:
    name = "lock"
    api = 1

    @hookimpl
    async def before_attempt(self):
        raise TooManyAttempts(30)


async def test_a_limit_says_when_to_come_back():
    async with running(MEMORY, ["defaults", Lock()]) as client:
        answer = await client.sign_in(await make_user(client.sigra))

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert answer.headers["retry-after"] == "30"


async def test_a_body_that_stops_is_answered_408(monkeypatch: pytest.MonkeyPatch):
    """An hour passes for the event loop once the body has begun."""
    loop, sent = asyncio.get_running_loop(), []
    now = loop.time

    async def receive():
        monkeypatch.setattr(loop, "time", lambda: now() + 3600)
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    async with running(MEMORY) as client:
        headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/auth/login", "raw_path": b"/auth/login"}
        more = {
            "query_string": b"",
            "headers": headers,
            "client": ("203.0.113.7", 1),
            "scheme": "http",
            "root_path": "",
        }
        await client.app({**scope, **more}, receive, send)

    assert sent[0]["status"] == 408
    assert b"request_timeout" in sent[1]["body"]

"""Whether an address is known cannot be told by the time of an answer: distributions that would show a millisecond."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from sigra.testing import Client, make_user
from tests.apps import Postbox, application, running

PAIRS = 600
VISIBLE = 0.5
"""Milliseconds between two medians that count as a difference: half of what the control makes."""

ASKING = {
    "/auth/login": {"email": "{email}", "password": "not the password"},
    "/auth/signup": {"email": "{email}", "password": "seven quiet otters at dawn"},
    "/auth/email/verify": {"email": "{email}", "code": "12345678"},
    "/auth/email/verify/resend": {"email": "{email}"},
    "/auth/password/forgot": {"email": "{email}"},
    "/auth/magic-link": {"email": "{email}"},
}

KNOWN, UNKNOWN = "ada@example.com", "eve@example.com"

pytestmark = [pytest.mark.soak, pytest.mark.databases("sqlite", "postgresql")]


async def milliseconds(client: Client, path: str, email: str) -> float:
    body = {name: value.format(email=email) for name, value in ASKING[path].items()}
    client.cookies.clear()
    begun = time.perf_counter()
    answer = await client.post(path, json=body)
    taken = (time.perf_counter() - begun) * 1000
    assert answer.status_code < 500
    return taken


async def between_known_and_unknown(client: Client, path: str) -> float:
    """The difference of the medians, in milliseconds; each pair in an order by chance."""
    taken: Mapping[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    for pair in range(PAIRS + 20):
        for email in random.sample([KNOWN, UNKNOWN], 2):
            spent = await milliseconds(client, path, email)
            if pair >= 20:
                taken[email].append(spent)
    return statistics.median(taken[KNOWN]) - statistics.median(taken[UNKNOWN])


class Telltale:
    """The control: an application that takes a millisecond more for a known address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told() -> dict[str, object]:
            message = await receive()
            if KNOWN.encode() in message.get("body", b""):
                until = time.perf_counter() + 0.001
                while time.perf_counter() < until:
                    pass
            return dict(message)

        await self.app(scope, told, send)


@pytest.mark.parametrize("path", ASKING)
async def test_hc39_a_known_address_is_not_told_by_the_time_of_an_answer(database: str, path: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        await make_user(client.sigra, KNOWN)

        difference = await between_known_and_unknown(client, path)

    print(f"{path}: {difference:+.3f} ms")
    assert abs(difference) < VISIBLE


@pytest.mark.parametrize("path", ASKING)
async def test_hc39_a_millisecond_would_be_seen(database: str, path: str) -> None:
    async with running(database, ["defaults", Postbox()]) as client:
        await make_user(client.sigra, KNOWN)
        async with Client(Telltale(client.sigra.wrap(application)), client.sigra) as telling:
            difference = await between_known_and_unknown(telling, path)

    assert difference > VISIBLE

"""A request whose body is held open: it is known who asks, and what is asked for comes later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx2

from sigra.testing import Client


async def held_open(
    client: Client,
    method: str,
    path: str,
    body: Mapping[str, Any],
    meanwhile: Callable[[], Awaitable[object]],
    *,
    form: bool = False,
) -> httpx2.Response:
    """Send an object, or a form, whose end waits until something else is done."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    text = (urlencode(body) if form else json.dumps(body)).encode()
    media_type = "application/x-www-form-urlencoded" if form else "application/json"

    async def slowly() -> AsyncIterator[bytes]:
        yield text[:1]
        begun.set()
        await go_on.wait()
        yield text[1:]

    asked = asyncio.create_task(client.request(method, path, content=slowly(), headers={"content-type": media_type}))
    await begun.wait()
    await meanwhile()
    go_on.set()
    return await asked

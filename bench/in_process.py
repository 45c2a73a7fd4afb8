"""CPU per request without a server between: the application is called as a server would call it."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from bench.applications import bare, private, sigra_settings, single
from bench.table import Row, pairs
from sigra import Sigra

Headers = list[tuple[bytes, bytes]]
USUAL: Headers = [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
AT_ONCE = 64


def one_at_a_time(database: str, url: str, cookie: str, key: str, turns: int) -> list[Row]:
    """Each request is answered before the next is made."""
    return uvloop.run(_one_at_a_time(database, url, cookie, key, turns))


async def _one_at_a_time(database: str, url: str, cookie: str, key: str, turns: int) -> list[Row]:
    raw = "raw sqlite3 in the loop" if url.startswith("sqlite") else "raw asyncpg pool"
    async with Sigra(sigra_settings(url, skip_paths=["/static"])) as auth:
        by_cookie, by_key = [(b"cookie", b"sigra=" + cookie.encode())], [(b"authorization", b"Bearer " + key.encode())]
        ours = auth.wrap(private)
        contenders: dict[str, tuple[Any, dict[str, Any]]] = {
            "bare": (bare, scope(USUAL)),
            raw: (single(url), scope(USUAL + by_cookie)),
            "Sigra, anonymous": (auth.wrap(bare), scope(USUAL)),
            "Sigra, skipped path": (auth.wrap(bare), scope(USUAL + by_cookie, "/static/x")),
            "Sigra by cookie": (ours, scope(USUAL + by_cookie)),
            "Sigra by key": (ours, scope(USUAL + by_key)),
        }
        measured = [
            {name: await _cost(app, wanted) for name, (app, wanted) in contenders.items()} for _ in range(turns + 1)
        ][1:]
    return [Row(f"{database}: {name}", *pairs(measured, name, [raw])) for name in contenders]


def grown(database: str, small: str, large: str, cookies: Sequence[Sequence[str]], turns: int) -> list[Row]:
    """The same look-ups in a small table and in a large one, many at once."""
    return uvloop.run(_grown(database, (small, large), cookies, turns))


async def _grown(database: str, urls: Sequence[str], cookies: Sequence[Sequence[str]], turns: int) -> list[Row]:
    names = ["10,000 sessions", "1,000,000 sessions"]
    async with Sigra(sigra_settings(urls[0])) as small, Sigra(sigra_settings(urls[1])) as large:
        apps = [small.wrap(private), large.wrap(private)]
        scopes = [[scope([*USUAL, (b"cookie", b"sigra=" + one.encode())]) for one in some] for some in cookies]
        measured = [
            {name: await _cost_at_once(app, some) for name, app, some in zip(names, apps, scopes, strict=True)}
            for _ in range(turns + 1)
        ][1:]
    return [Row(f"{database}: {name}", *pairs(measured, name, names[:1])) for name in names]


async def bad_key_without_database(key: str) -> tuple[int, int]:
    """The answers to a key with a wrong checksum and to a well-formed one where every query fails."""
    async with Sigra(sigra_settings("postgresql+asyncpg://nobody@127.0.0.1:1/none")) as auth:
        app = auth.wrap(private)
        wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
        return await _status(app, wrong), await _status(app, key)


async def _status(app: Any, key: str) -> int:
    found: list[int] = []

    async def send(message: Any) -> None:
        found.append(message.get("status", 0))

    await app(scope([*USUAL, (b"authorization", b"Bearer " + key.encode())]), _nothing, send)
    return found[0]


async def _cost(app: Any, wanted: dict[str, Any], count: int = 500) -> float:
    async def calls() -> None:
        for _ in range(count):
            await app(dict(wanted), _nothing, _expect)

    return await _timed(calls) / count


async def _cost_at_once(app: Any, scopes: Sequence[dict[str, Any]]) -> float:
    async def calls() -> None:
        for start in range(0, len(scopes), AT_ONCE):
            some = scopes[start : start + AT_ONCE]
            await asyncio.gather(*(app(dict(one), _nothing, _expect) for one in some))

    return await _timed(calls) / len(scopes)


async def _timed(calls: Callable[[], Awaitable[None]]) -> float:
    gc.collect()
    begun = time.process_time()
    await calls()
    return time.process_time() - begun


def scope(headers: Headers, path: str = "/") -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _expect(message: dict[str, Any]) -> None:
    if message["type"] == "http.response.start" and message["status"] != 200:
        raise RuntimeError(f"answered {message['status']}")

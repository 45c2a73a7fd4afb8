"""Requests that nobody should send, for every route of a plugin."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2
from starlette.routing import BaseRoute, Route

from sigra.testing.client import Client

JSON, FORM = "application/json", "application/x-www-form-urlencoded"

BODIES: Sequence[tuple[str, bytes]] = (
    (JSON, b""),
    (JSON, b"{"),
    (JSON, b"{}"),
    (JSON, b"[1]"),
    (JSON, b'{"a": 1, "a": 2}'),
    (JSON, b'{"email": "\\ud800", "password": "\\u0000"}'),
    (JSON, b'{"email": {"a": [null]}, "password": 1e999}'),
    (JSON, b'{"a":' * 50 + b"1" + b"}" * 50),
    (JSON, b"\xff\xfe{}"),
    (JSON, b"{" + b'"a": "' + b"x" * 100_000 + b'"}'),
    (FORM, b"email=%00&password=%ff"),
    (FORM, b"a=1&a=2"),
    (FORM, b"_method=TRACE"),
    ("multipart/form-data; boundary=b", b"--b\r\nnonsense"),
    ("text/plain", b'{"email": "ada@example.com"}'),
    ("application/octet-stream", b"\x00\x01"),
)
"""Types and contents of bodies that no honest client sends."""

_SAMPLES: Mapping[str, Any] = {
    "UUIDConvertor": uuid.UUID(int=7),
    "IntegerConvertor": 7,
    "FloatConvertor": 7.5,
    "StringConvertor": "seven",
    "PathConvertor": "seven/eight",
}


def places(routes: Sequence[BaseRoute]) -> list[tuple[str, str]]:
    """Method and path of everything that HTTP routes answer, their parameters filled in."""
    return [
        (method, path_of(route))
        for route in routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
    ]


def path_of(route: Route) -> str:
    """A path that the route answers."""
    samples = {name: _SAMPLES[type(convertor).__name__] for name, convertor in route.param_convertors.items()}
    return str(route.url_path_for(route.name, **samples))


async def probe(client: Client, routes: Sequence[BaseRoute]) -> None:
    """Ask every route every nonsense.

    Raises:
        AssertionError: An answer is 500 or worse, or an error that is no problem (RFC 9457).
    """
    for method, path in places(routes):
        for headers, content in _requests(method):
            response = await client.request(method, client.path(path), headers=headers, content=content)
            check_answer(response, f"{method} {path} with {headers} and {content[:60]!r}")


def _requests(method: str) -> Iterator[tuple[dict[str, str], bytes]]:
    yield {}, b""
    if method not in ("GET", "HEAD"):
        for kind, content in BODIES:
            yield {"content-type": kind}, content


def check_answer(response: httpx2.Response, asked: str) -> None:
    """An answer is below 500, and an error is a problem, or a page for who posted a form."""
    assert response.status_code < 500, f"{asked}: {response.status_code} {response.text}"
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    kind = response.headers.get("content-type", "").partition(";")[0]
    posted = response.request.headers.get("content-type", "").partition(";")[0]
    if kind == "text/html" and posted in (FORM, "multipart/form-data"):
        return
    assert kind == "application/problem+json", f"{asked}: {response.status_code} is no problem but {kind!r}"
    assert response.json()["code"], f"{asked}: the problem has no code"

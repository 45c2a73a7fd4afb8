"""Attacks with nonsense: huge, deep, slow and odd bodies and headers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from sigra.attack.attack import attack
from sigra.attack.outcome import Broken, NotTested
from sigra.attack.target import Target
from sigra.attack.visitor import FORM, JSON, Header, Visitor

CURE = "docs/deployment.md."

PATHS = ("/login", "/signup", "/password/reset", "/magic-link/verify")


def bodies() -> dict[str, tuple[str, bytes]]:
    """Bodies that no route may take, with their types."""
    big = b"x" * 1_000_000
    email = b'{"email": "a@example.com", "password": '
    return {
        "a megabyte": (JSON, email + b'"' + big + b'"}'),
        "a megabyte of form": (FORM, b"email=a&password=" + big),
        "a thousand lists deep": (JSON, b"[" * 1_000 + b"]" * 1_000),
        "deep objects": (JSON, b'{"a":' * 1_000 + b"1" + b"}" * 1_000),
        "no JSON": (JSON, b"{nonsense"),
        "nothing": (JSON, b""),
        "null": (JSON, b"null"),
        "not UTF-8": (JSON, b'{"email": "\xff\xfe", "password": "\xc3"}'),
        "a lone surrogate": (JSON, email + b'"\\ud800"}'),
        "a lone surrogate in the address": (JSON, b'{"email": "\\udfff@example.com", "password": "x"}'),
        "NUL": (JSON, b'{"email": "a\\u0000@example.com", "password": "a\\u0000b", "token": "\\u0000"}'),
        "a huge number": (JSON, email + b"1" * 10_000 + b"}"),
        "not a number": (JSON, email + b"NaN}"),
        "members twice": (JSON, email + b'"a", "password": "b"}'),
        "wrong kinds": (JSON, b'{"email": {}, "password": [], "token": 1, "next": {}, "remember": "x"}'),
        "UTF-16": (JSON, '{"email": "a"}'.encode("utf-16")),
        "a form with NUL": (FORM, b"email=a%00b&password=%00&token=%00"),
        "a form that is not UTF-8": (FORM, b"email=%ff%fe&password=%c3&token=%ed%a0%80"),
        "ten thousand fields": (FORM, b"&".join(b"f%d=1" % number for number in range(10_000))),
        "broken multipart": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
        "multipart without boundary": ("multipart/form-data", b"--x--"),
    }


@attack("Broken, huge and deep bodies are refused, and break nothing.", CURE)
async def hostile_bodies(target: Target) -> str:
    """Sends each to the routes that anybody may post to."""
    visitor, tries = target.visitor(), bodies()
    for name, (kind, content) in tries.items():
        for path in PATHS:
            try:
                answer = await visitor.send("POST", path, content=content, headers=[("content-type", kind)])
            except httpx2.TransportError:
                continue  # hung up on, which is an answer to a megabyte
            if answer.status_code < 400 or answer.status_code == 503:
                raise Broken(f"{name} at {path} was answered {answer.status_code}.")
    return f"{len(tries)} bodies at {len(PATHS)} routes, all refused"


@attack("Odd headers break nothing, and let nobody in.", CURE)
async def hostile_headers(target: Target) -> str:
    """Sends what parsers fall over."""
    visitor = target.visitor()
    odd = (b"", b"\xff\xfe", b'"', b";;;=;", b"a" * 6_000, b"%00", b"=?utf-8?q?=41?=", b"*/*;q=\xff", b"-1")
    names: tuple[str, ...] = (
        "cookie",
        "authorization",
        "accept",
        "accept-language",
        "user-agent",
        "origin",
        "content-type",
        "forwarded",
    )
    names += ("x-forwarded-for", "x-request-id", "sec-fetch-site", "referer", "if-none-match", "range")
    for name in names:
        for value in odd:
            headers: list[Header] = [(name, value)]
            headers += [("cookie", target.cookie.encode() + b"=" + value), ("authorization", b"Bearer " + value)]
            for one in headers if name == "cookie" else headers[:1]:
                try:
                    answer = await visitor.get("/session", headers=[one])
                except httpx2.TransportError:
                    continue
                if answer.status_code < 400:
                    raise Broken(f"An odd {name} was answered {answer.status_code}.")
    return f"{len(odd)} values of {len(names)} headers"


@attack("A body that never ends is given up on, and others are served meanwhile.", CURE, beside=True)
async def slow_bodies(target: Target) -> str:
    """Begins bodies and does not end them (CWE-400)."""
    begun = time.monotonic()
    slow = [asyncio.create_task(_drip(target)) for _ in range(20)]
    await asyncio.sleep(0.2)
    other = time.monotonic()
    await target.visitor().get("/session")
    taken = time.monotonic() - other
    done, waiting = await asyncio.wait(slow, timeout=target.slow)
    for task in waiting:
        task.cancel()
    if waiting:
        raise Broken(f"{len(waiting)} of 20 bodies are waited for after {target.slow:.0f} s.")
    if taken > 5:
        raise Broken(f"While 20 slow bodies came, somebody else waited {taken:.1f} s.")
    statuses = sorted({task.result() for task in done})
    return f"20 given up on after {time.monotonic() - begun:.0f} s ({', '.join(map(str, statuses))}), others served"


async def _drip(target: Target) -> int:
    """The status by which a body is given up on; 0 when the server hangs up."""
    head = f"POST {target.mount}/login HTTP/1.1\r\nHost: {urlsplit(target.origin).netloc}\r\nContent-Type: {JSON}\r\n"
    sent = "".join(f"{name}: {value!s}\r\n" for name, value in target.headers)
    reader, writer = await target.connected()
    try:
        writer.write(f'{head}{sent}Content-Length: 1000\r\n\r\n{{"email": "'.encode())
        line = await reader.readline()
    except OSError:
        return 0
    finally:
        writer.close()
    return int(line.split()[1]) if line else 0


@attack("Every described route refuses strangers and nonsense by a client error.", "docs/openapi.md.")
async def described_routes(target: Target) -> str:
    """Goes through the OpenAPI document, and asks each route wrongly, without a credential."""
    document: Mapping[str, Any] = target.kept["openapi"]
    visitor, asked = target.visitor(), 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "post", "patch", "put", "delete"):
                continue
            where = path.removeprefix(target.mount).replace("{id}", "00000000-0000-7000-8000-000000000000")
            if "mailbox" in where:
                continue
            asked += 1
            await _ask(visitor, method.upper(), where, operation)
    if not asked:
        raise NotTested("The OpenAPI document describes no routes.")
    return f"{asked} routes, three ways each"


async def _ask(visitor: Visitor, method: str, path: str, operation: Mapping[str, Any]) -> None:
    secured = bool(operation.get("security")) and {} not in operation["security"]
    odd = [b"[]", b'{"\\u0000": {"a": []}}'] if method != "GET" else []
    for content in (None, *odd):
        headers: list[Header] = [("content-type", JSON)] if content else []
        answer = await visitor.send(method, path, content=content, headers=headers)
        if secured and answer.status_code < 400:
            raise Broken(f"{method} {path} was answered {answer.status_code} to nobody.")

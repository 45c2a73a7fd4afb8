"""Somebody who asks: one address, cookies of their own, and patience with limits."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import httpx2

from sigra.attack.outcome import Broken

Header = tuple[str, str | bytes]
Wait = Callable[[float], Awaitable[None]]

JSON, FORM = "application/json", "application/x-www-form-urlencoded"

BUSY = 5
"""How often somebody comes back to a server that says it is busy."""


@dataclass(frozen=True)
class SetCookie:
    """A cookie as an answer sets it.

    Args:
        attributes: By name in lower case; one without a value has the empty text.
    """

    name: str
    value: str
    attributes: Mapping[str, str]


def set_cookies(answer: httpx2.Response) -> list[SetCookie]:
    """The cookies that an answer sets (RFC 6265, section 5.2)."""
    return [_parsed(line) for line in answer.headers.get_list("set-cookie")]


def _parsed(line: str) -> SetCookie:
    pair, *rest = line.split(";")
    name, _, value = pair.partition("=")
    split = [part.strip().partition("=") for part in rest]
    return SetCookie(name.strip(), value.strip(), {key.lower(): found for key, _, found in split})


def _raw(headers: Sequence[Header]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]


class Visitor:
    """A browser or a program.

    Args:
        url: Scheme, host and port.
        mount: Where Sigra's routes are.
        headers: Sent with every request.
        wait: Waits for a limit; None for somebody who takes 429 for an answer.
    """

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport,
        url: str,
        mount: str,
        headers: Sequence[Header],
        wait: Wait | None,
    ) -> None:
        self.url, self.mount, self.headers, self._wait = url, mount, list(headers), wait
        self.cookies: dict[str, str] = {}
        self._client = httpx2.AsyncClient(transport=transport, timeout=60)
        # What is sent is said here alone.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET below the mount path; see `send`."""
        return await self.send("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx2.Response:
        """POST below the mount path; see `send`."""
        return await self.send("POST", path, json=json, **options)

    async def page(self, path: str, **options: Any) -> httpx2.Response:
        """GET below the mount path as a browser navigates."""
        return await self.get(path, **{**options, "headers": [("accept", "text/html"), *options.get("headers", ())]})

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: Any = None,
        headers: Sequence[Header] = (),
        cookies: bool = True,
    ) -> httpx2.Response:
        """Ask below the mount path, and keep the cookies of the answer.

        Args:
            json, form: A body, with its type.
            content: A body without one.
            cookies: Whether those that are kept are sent.

        Raises:
            Broken: The server failed.
        """
        if form is not None:
            content, headers = urlencode(form, errors="surrogatepass").encode(), [("content-type", FORM), *headers]
        elif json is not None:
            content, headers = json_module.dumps(json).encode(), [("content-type", JSON), *headers]
        if cookies and self.cookies:
            headers = [("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())), *headers]
        answer = await self._asked(method, path, content, [*self.headers, *headers])
        self._keep(answer)
        return answer

    async def _asked(self, method: str, path: str, content: Any, headers: list[Header]) -> httpx2.Response:
        for _ in range(BUSY):
            while True:
                answer = await self._once(method, path, content, headers)
                if answer.status_code != 429 or self._wait is None:
                    break
                await self._wait(float(answer.headers.get("retry-after", "60")))
            if answer.status_code != 503 or self._wait is None:
                break
            await asyncio.sleep(1)
        if answer.status_code >= 500 and answer.status_code != 503:
            raise Broken(f"{method} {path.partition('?')[0]} answered {answer.status_code}.")
        return answer

    async def _once(self, method: str, path: str, content: Any, headers: list[Header]) -> httpx2.Response:
        url = f"{self.url}{self.mount}{path}"
        request = self._client.build_request(method, url, content=content, headers=_raw(headers))
        return await self._client.send(request)

    async def handshake(self, path: str, headers: Sequence[Header]) -> int:
        """Ask for a WebSocket at a path of the application, and hang up: the status."""
        upgrade: list[Header] = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "c2lncmEgYXR0YWNrIDEyMw=="),
        ]
        if self.cookies:
            upgrade.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        raw = _raw([*self.headers, *upgrade, *headers])
        async with self._client.stream("GET", f"{self.url}{path}", headers=raw) as answer:
            return answer.status_code

    def _keep(self, answer: httpx2.Response) -> None:
        for cookie in set_cookies(answer):
            if cookie.attributes.get("max-age") == "0":
                self.cookies.pop(cookie.name, None)
            else:
                self.cookies[cookie.name] = cookie.value

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()

"""The one way out: https to public addresses, soon over, never large, never redirected.

What the other side says decides nothing here: neither where the next request goes, nor how long or how much is read.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

import anyio
import httpx2

from sigra_oauth.addresses import Allowed, is_loopback, is_public
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable

SECONDS = 5.0
"""Of one request in all: look-up, connection, TLS, answer."""

CONNECT_SECONDS = 2.0
"""For one of a host's addresses, so that there is time for the next."""

MAXIMUM_BYTES = 1024 * 1024
"""Of an answer."""

URL_LENGTH = 2048
"""Characters of an address that is asked: nobody's is longer."""

HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "sigra-oauth"}
"""Nothing is asked for compressed, so that nothing unpacks to more than was read."""

Resolve = Callable[[str, int], Awaitable[Sequence[tuple[str, int]]]]
"""The addresses and ports of a host and a port."""


async def resolved(host: str, port: int) -> Sequence[tuple[str, int]]:
    """By the system, in a thread."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(address), int(port)) for *_, (address, port, *_) in found))


class Outbound(httpx2.AsyncBaseTransport):
    """A transport for `httpx2` clients, without anything that belongs to one event loop.

    Args:
        development: Whether http may be spoken with loopback hosts, and loopback hosts may be asked at all.
        allowed: What may be private.
        resolve: Finds the addresses of a host.
        tls: What certificates are held against; the system's when None, or `SSL_CERT_FILE`.
    """

    def __init__(
        self,
        *,
        development: bool = False,
        allowed: Allowed | None = None,
        resolve: Resolve = resolved,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._development = development
        self._allowed = allowed or Allowed()
        self._resolve = resolve
        self._tls = tls

    def client(self) -> httpx2.AsyncClient:
        """A client for one conversation: its cookies end with it."""
        return httpx2.AsyncClient(transport=self, trust_env=False, headers=HEADERS)

    async def get_json(self, url: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Any:
        """What a 200 holds.

        Raises:
            OAuthFailed: The answer is another one, or no JSON.
            OAuthUnavailable: There is none.
        """
        async with self.client() as client:
            return read_json(await client.request(method, checked(url, development=self._development), headers=headers))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Every request of every client passes here.

        Raises:
            OAuthFailed: It may not be made, or the answer may not be read.
            OAuthUnavailable: There is no answer, or one that says so.
        """
        checked(str(request.url), development=self._development)
        try:
            with anyio.fail_after(SECONDS):
                response = await self._answer(request)
        except TimeoutError:
            raise OAuthUnavailable(f"{request.url.host} did not answer within {SECONDS:.0f} seconds") from None
        if response.status_code >= 500 or response.status_code == 429:
            raise OAuthUnavailable(f"{request.url.host} answered {response.status_code}")
        if response.is_redirect or 300 <= response.status_code < 400:
            _fail(request, f"answered {response.status_code}, and redirects are not followed")
        return response

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        reason = "has no address"
        for address, port in await self._addresses(request.url):
            try:
                return await self._ask(request, address, port)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                reason = _why(error)
            except (httpx2.TransportError, ssl.SSLError) as error:
                reason = _why(error)
                break
        raise OAuthUnavailable(f"{request.url.host} {reason}")

    async def _addresses(self, url: httpx2.URL) -> Sequence[tuple[str, int]]:
        """Where the request may go; a host with one address that it must not have has none."""
        host, port = url.raw_host.decode("ascii").strip("[]"), url.port or {"https": 443, "http": 80}[url.scheme]
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise OAuthUnavailable(f"{host} has no address") from None
        for address, _ in found:
            if not self._may_be(host, address):
                raise OAuthFailed(
                    f"{host} has the address {address}, which is not public: allow_private does not have it"
                )
        return found

    def _may_be(self, host: str, text: str) -> bool:
        address = ipaddress.ip_address(text)
        if is_public(address) or self._allowed.host(host) or self._allowed.address(address):
            return True
        return self._development and address.is_loopback and is_loopback(host)

    async def _ask(self, request: httpx2.Request, address: str, port: int) -> httpx2.Response:
        """Ask the very address that was checked; the certificate and the `Host` header are of the name."""
        name = request.url.raw_host.decode("ascii").strip("[]")
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=address, port=port),
            headers=request.headers,
            stream=request.stream,
            extensions={
                "sni_hostname": name,
                "timeout": {"connect": CONNECT_SECONDS, "read": SECONDS, "write": SECONDS, "pool": SECONDS},
            },
        )
        tls = self._tls or _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        async with httpx2.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
            answer = await transport.handle_async_request(pinned)
            try:
                content = await _content(request, answer)
            finally:
                await answer.aclose()
        kept = [(key, value) for key, value in answer.headers.multi_items() if key in KEPT]
        return httpx2.Response(answer.status_code, headers=kept, content=content, request=request)


KEPT = ("content-type", "retry-after", "www-authenticate")
"""Headers of an answer that are passed on: no cookie, no place to go."""


@cache
def _trusted(file: str | None, folder: str | None) -> ssl.SSLContext:
    """The certificates that these variables name, or the system's: read once, for the loop stands still meanwhile."""
    return httpx2.create_ssl_context()


async def _content(request: httpx2.Request, answer: httpx2.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        _fail(request, "answered compressed, which was not asked for")
    content = bytearray()
    async for part in answer.aiter_raw():
        content += part
        if len(content) > MAXIMUM_BYTES:
            _fail(request, f"answered with more than {MAXIMUM_BYTES} bytes")
    return bytes(content)


def _fail(request: httpx2.Request, reason: str) -> NoReturn:
    raise OAuthFailed(f"{request.url.host} {reason}")


def _why(error: Exception) -> str:
    """What went wrong, without the texts of the libraries, which may repeat what was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that does not hold: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return f"cannot be reached: {type(error).__name__}"


def checked(url: object, *, development: bool) -> str:
    """A URL that may be asked, or that a browser may be sent to.

    Raises:
        OAuthFailed: Neither https nor, in development, http with this machine; or it holds a user, or a fragment.
    """
    try:
        parts = httpx2.URL(url) if isinstance(url, str) and url.isascii() and len(url) <= URL_LENGTH else None
    except httpx2.InvalidURL:
        parts = None
    if parts is None or not parts.host or parts.userinfo or parts.fragment or not 0 < (parts.port or 1) < 65_536:
        raise OAuthFailed("the provider names an address that is no URL")
    local = development and parts.scheme == "http" and is_loopback(parts.host)
    if parts.scheme != "https" and not local:
        raise OAuthFailed(f"{parts.scheme}://{parts.host} is not https")
    return str(url)


def read_json(response: httpx2.Response) -> Any:
    """What a 200 holds, as JSON (RFC 8259).

    Raises:
        OAuthFailed: The answer is another one, or no JSON.
    """
    host = response.request.url.host
    if response.status_code != 200:
        raise OAuthFailed(f"{host} answered {response.status_code}")
    return json_of(response.content, f"the answer of {host}")


def json_of(content: bytes | str, what: str) -> Any:
    """JSON without the numbers that are none (`NaN`).

    Raises:
        OAuthFailed: It is none.
    """
    try:
        return json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise OAuthFailed(f"{what} is no JSON") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)

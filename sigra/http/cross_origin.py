"""Whether an unsafe request was made by a page of another origin, decided from what browsers say of themselves."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import Scope

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""

_OWN_SITE = frozenset({"same-origin", "none"})
"""`Sec-Fetch-Site` of our own pages, and of what the user started (W3C Fetch Metadata, 2.4)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)


def is_refused(
    scope: Scope, *, base_origin: str, trusted_origins: Collection[str], session_cookie: bool = False
) -> bool:
    """The decision; the first rule that fits holds.

    Args:
        scope: A request, or a WebSocket handshake, which is never safe: no browser asks before it opens one.
        base_origin: Of the base URL, as `parse_origin` gives it, like `trusted_origins`.
        session_cookie: Whether the request carries one; then a handshake must say where it comes from.
    """
    websocket = scope["type"] == "websocket"
    if not websocket and scope["method"] in SAFE_METHODS:
        return False
    headers = Headers(scope=scope)
    origins = headers.getlist("origin")
    if len(origins) > 1:
        return True
    origin = _canonical(origins[0]) if origins else None
    if origin in trusted_origins:
        return False
    sites = headers.getlist("sec-fetch-site")
    if sites:
        return len(sites) > 1 or sites[0] not in _OWN_SITE
    if origins:
        return origin != base_origin
    return websocket and session_cookie


def parse_origin(text: str) -> str:
    """An origin as browsers serialise it (RFC 6454, 6.2): lower case, no default port; one slash at the end is dropped.

    Raises:
        ValueError: It is not one origin: `null`, `*`, a path, user or wildcard, or a host not in its ASCII form.
    """
    origin = _canonical(text.removesuffix("/"))
    if origin is None:
        raise ValueError(f"{text!r} is not an origin; write it as in https://example.com, a foreign host as xn--…")
    return origin


def _canonical(text: str) -> str | None:
    found = _ORIGIN.fullmatch(text.lower())
    host = _host(found["host"]) if found and text.isascii() else None
    if found is None or host is None:
        return None
    scheme, port = found["scheme"], int(found["port"] or 0)
    if port > 65535 or (found["port"] and port == 0):
        return None
    return f"{scheme}://{host}" if port in (0, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def _host(text: str) -> str | None:
    """A host as browsers serialise it; None when they would make an address of it that is written otherwise."""
    try:
        if text.startswith("["):
            return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
        if _ends_in_number(text):
            return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None
    return text


def _ends_in_number(host: str) -> bool:
    """Whether browsers take the host for an IPv4 address (WHATWG URL, "ends in a number")."""
    last = host.removesuffix(".").rpartition(".")[2]
    return last.isdecimal() or re.fullmatch(r"0x[0-9a-f]*", last) is not None

"""Headers: those that a request was sent with, and those of every answer of the mount path."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from starlette.types import Scope

_HASH = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2}")

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""`form-action` also holds for what a form post is redirected to, in some browsers: a redirect to another origin
(a provider) needs more than a 303 (W3C CSP 3, 6.4.1)."""


def sent(scope: Scope, name: bytes) -> Sequence[bytes]:
    """The values of a header, one for each time that it was sent.

    Args:
        name: In lower case, as all names in a scope (ASGI, "HTTP Connection Scope").
    """
    lines = scope["headers"]
    by_name = dict(lines)
    if len(by_name) == len(lines):
        return (by_name[name],) if name in by_name else ()
    return [value for key, value in lines if key == name]


def mount_headers(script_hashes: Sequence[str] = ()) -> dict[str, str]:
    """The headers of every answer below the mount path, names in lower case.

    Args:
        script_hashes: Of the inline scripts that the page has, by `script_hash`.

    Raises:
        ValueError: One is not a hash.
    """
    if not all(_HASH.fullmatch(item) for item in script_hashes):
        raise ValueError("a script is allowed by its hash, as in sha256-…")
    scripts = "".join(f" '{item}'" for item in script_hashes)
    return {
        "cache-control": "no-store",
        "content-security-policy": f"{_POLICY}; connect-src 'self'; script-src{scripts}" if scripts else _POLICY,
        # With no-referrer a browser posts our own forms with `Origin: null` (WHATWG Fetch, 3.2).
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


MOUNT_HEADERS: Mapping[str, str] = MappingProxyType(mount_headers())
"""The same, of a page without scripts."""


def script_hash(script: str) -> str:
    """What allows exactly this inline script (W3C CSP 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

"""What a provider and a client write to each other."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from tests.oauth.keys import encoded


def as_answer(body: Any) -> Response:
    return body if isinstance(body, Response) else JSONResponse(body)


def half_hash(token: str, alg: str) -> str:
    """`at_hash` (OpenID Connect Core 1.0, section 3.1.3.6); EdDSA on Ed25519 hashes by SHA-512 (RFC 8032)."""
    digest = {"256": hashlib.sha256, "384": hashlib.sha384}.get(alg[-3:], hashlib.sha512)(token.encode()).digest()
    return encoded(digest[: len(digest) // 2])


def credentials(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Of the client: `client_secret_basic` or `client_secret_post` (RFC 6749, section 2.3.1)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    name, _, secret = base64.b64decode(given).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)


def form_post(action: str, pairs: list[tuple[str, str]]) -> Response:
    """OAuth 2.0 Form Post Response Mode 1.0, section 2."""
    fields = "".join(f'<input type="hidden" name="{name}" value="{html.escape(one)}">' for name, one in pairs)
    page = f'<form method="post" action="{html.escape(action)}">{fields}<button>Go on</button></form>'
    return HTMLResponse(f'{page}<script>document.querySelector("form").submit()</script>')

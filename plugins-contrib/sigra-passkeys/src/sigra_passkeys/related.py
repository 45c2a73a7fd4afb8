"""Related origins: where browsers learn which other pages may use the passkeys (Level 3, section 5.11)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/.well-known/webauthn"


def announcing(app: ASGIApp, *, origins: Sequence[str]) -> ASGIApp:
    """`app`, and at the well-known path the origins."""
    answer = JSONResponse({"origins": list(origins)})

    async def announce(scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] == PATH
        await (answer if asked else app)(scope, receive, send)

    return announce

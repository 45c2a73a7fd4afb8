"""A provider of OAuth 2.0 alone that nobody has a preset for, and a stranger's plugin for it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sigra import Auth, hookimpl
from sigra_oauth.building import make_outbound, make_provider
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.provider import Claims, Provider
from sigra_oauth.providers import OAuth2


def ada() -> dict[str, Any]:
    return {"user": {"number": 7, "mail": "ada@example.com", "state": "confirmed", "called": "Ada"}}


@dataclass
class Forge:
    """Allows everything at once.

    Args:
        origin: Where it is served.
        account: What it says of whoever has a token.
        error: Answers a code with this one.
        asked: Every authorization request.
    """

    origin: str
    account: Any = field(default_factory=ada)
    error: str | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "client_id": "sigra",
            "client_secret": "secret",
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "userinfo_endpoint": f"{self.origin}/user?fields=all",
            "subject_claim": "user.number",
            **more,
        }

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/user", self.user),
            ]
        )

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        self.codes[code := f"code-{len(self.asked)}"] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.codes.pop(form.get("code", ""), None)
        if self.error or asked is None or not self._is_asker(asked, form):
            return JSONResponse({"error": self.error or "invalid_grant"})
        return JSONResponse({"access_token": "token", "token_type": "bearer"})

    def _is_asker(self, asked: Mapping[str, str], form: Mapping[str, str]) -> bool:
        """Whether it is who was sent there (RFC 7636, section 4.6)."""
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        return asked.get("code_challenge") == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    async def user(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer token" or request.query_params.get("fields") != "all":
            return JSONResponse({}, 401)
        return JSONResponse(self.account)


class ForgeProvider(OAuth2):
    def claims_of(self, account: Mapping[str, Any]) -> Claims:
        user = account["user"]
        verified = user["state"] == "confirmed"
        return Claims(self.preset.issuer, str(user["number"]), user["mail"], email_verified=verified)


class ForgePlugin:
    """Twenty lines, with the class above."""

    name = "forge"
    api = 1
    requires = ("oauth",)

    def __init__(self, **options: Any) -> None:
        self.options = ProviderOptions(**options)

    @hookimpl
    async def providers_for_oauth(self, auth: Auth) -> Sequence[Provider]:
        development = auth.settings.development
        way = make_outbound(Options(), development=development)
        return [
            make_provider("forge", self.options, way, auth.clock, development=development, kind=ForgeProvider),
        ]

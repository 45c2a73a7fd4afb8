"""Signing out here, and at the provider that the session came of (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from sigra import Auth, Identity, Route, SigraError
from sigra.answers import HTML
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable
from sigra_oauth.grants import Begun, Grants
from sigra_oauth.onward import onward
from sigra_oauth.provider import Provider

_log = logging.getLogger("sigra.oauth")


class SignOut(BaseModel):
    """The body of a sign-out.

    Args:
        page: Whether the form stands on a page whose policy (`form-action`) keeps forms from leading elsewhere.
    """

    page: bool = False


class SignedOutHere(TypedDict):
    """Where to send the browser to end the provider's session too; null where there is nothing to end."""

    logout_url: str | None


@dataclass(frozen=True)
class SigningOut:
    """The route by which somebody signs out."""

    auth: Auth
    providers: Mapping[str, Provider]
    grants: Grants

    def routes(self) -> list[Route]:
        answers = {200: (SignedOutHere, HTML), 303: None}
        return [
            Route("/oauth/logout", self.sign_out, methods=["POST"], secured=True, body=SignOut, answers=answers),
        ]

    async def sign_out(self, request: Request) -> Response:
        """POST /oauth/logout: end the present session; where to end the provider's, or the way there for a form."""
        body = await self.auth.read(request, SignOut)
        begun = await self._begun(request)
        ended = await self.auth.sign_out(request)
        url = None if begun is None else await self._place(begun)
        if url is None and "location" in ended.headers:
            return ended
        answer: SignedOutHere = {"logout_url": url}
        response = None
        if begun is not None and url is not None:
            response = await onward(self.auth, request, url, self.providers[begun.provider].label, body.page)
        response = response or JSONResponse(answer)
        for cookie in ended.headers.getlist("set-cookie"):
            response.headers.append("set-cookie", cookie)
        return response

    async def there(self, request: Request) -> Provider | None:
        """The provider at which whoever asks may sign out, too."""
        begun = await self._begun(request)
        provider = None if begun is None else self.providers.get(begun.provider)
        return provider if provider is not None and provider.ends_sessions else None

    async def _begun(self, request: Request) -> Begun | None:
        identity: Identity | None = request.scope["sigra.identity"]
        if identity is None or identity.session_id is None:
            return None
        try:
            return await self.grants.of_session(self.auth, identity.session_id)
        except SigraError as error:
            _log.error("a session is ended here alone: %s", error)
            return None

    async def _place(self, begun: Begun) -> str | None:
        provider, settings = self.providers.get(begun.provider), self.auth.settings
        if provider is None:
            return None
        try:
            return await provider.logout_url(begun.id_token, f"{settings.base_url}{settings.mount_path}/login")
        except (OAuthFailed, OAuthUnavailable) as error:
            _log.warning("a session is ended here and not at %s: %s", begun.provider, error.reason)
            return None

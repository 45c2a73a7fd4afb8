"""There and back: the start of an attempt, and the callback."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra import Auth, NotFound, SigraError, current_user, requires
from sigra_oauth.attempts import Attempt, Attempts
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable
from sigra_oauth.onward import onward
from sigra_oauth.provider import Answer, Provider
from sigra_oauth.settling import Settling
from sigra_oauth.shapes import OAuthRefused, Start, Started

ACTION = "oauth.start"
"""What is counted: each start writes a row."""

CALLBACK = "oauth_callback"

_log = logging.getLogger("sigra.oauth")

T = TypeVar("T")

Text = Annotated[str | None, Field(max_length=16384, repr=False)]


class Posted(BaseModel):
    """The body of a callback that a provider's page posts (Form Post Response Mode 1.0).

    Args:
        user: What Apple tells of a name, once.
    """

    state: Text = None
    code: Text = None
    iss: Text = None
    error: Text = None
    error_description: Text = None
    user: Text = None


@dataclass(frozen=True)
class Dancing:
    """The routes of the dance."""

    auth: Auth
    providers: Mapping[str, Provider]
    attempts: Attempts
    settling: Settling

    def provider(self, request: Request) -> Provider:
        """The one that the path names.

        Raises:
            NotFound: There is none.
        """
        found = self.providers.get(request.path_params["provider"])
        if found is None:
            raise NotFound
        return found

    async def start(self, request: Request) -> Response:
        """POST /oauth/{provider}/start: where to send the browser; a form is sent there."""
        provider = self.provider(request)
        body = await self.auth.read(request, Start)
        await self.auth.limit(request, ACTION)
        if body.intent == "link":
            await requires(fresh=True)(request)
        elif body.intent == "reauthenticate":
            await current_user(request)
        begun = self.attempts.new(self.auth, request, provider, body)
        url = await self._reported(
            provider, provider.authorization_url(begun.attempt.asked(self._back(provider), begun.state))
        )
        await self.auth.db.transaction(partial(self.attempts.begin, begun=begun))
        started: Started = {"authorization_url": url}
        response = await onward(self.auth, request, url, provider.label, body.page) or JSONResponse(started)
        self.attempts.hold(self.auth, request, response, begun.attempt, provider)
        return response

    async def by_link(self, request: Request) -> Response:
        """GET /oauth/{provider}/callback: what the provider says, as a link that the browser follows."""
        # Whoever only looks whether the page is there follows no link.
        if request.method == "HEAD":
            return Response()
        parameters = {name: request.query_params.getlist(name) for name in request.query_params}
        return await self._answered(request, parameters)

    async def by_form(self, request: Request) -> Response:
        """POST /oauth/{provider}/callback: the same, as a form that the provider's page posts."""
        body = await self.auth.read(request, Posted)
        return await self._answered(
            request, {name: [value] for name, value in body.model_dump(exclude_none=True).items()}
        )

    async def _answered(self, request: Request, parameters: Mapping[str, Sequence[str]]) -> Response:
        provider = self.provider(request)
        attempt = await self.attempts.find(self.auth, request, provider, parameters.get("state", ()))
        # One answer is looked at, and no second one: a code that is exchanged twice is a stolen one to its provider.
        await self.auth.db.transaction(partial(self.attempts.claim, self.auth, attempt=attempt))
        answer = await self._asked_for(provider, attempt, parameters)
        response = await self.settling.settle(request, attempt, provider, answer)
        return self.attempts.dropped(self.auth, response, attempt)

    async def _asked_for(self, provider: Provider, attempt: Attempt, parameters: Mapping[str, Sequence[str]]) -> Answer:
        state = parameters["state"][0]
        try:
            return await self._reported(
                provider, provider.answer(attempt.asked(self._back(provider), state), parameters)
            )
        except SigraError as error:
            await self.auth.db.transaction(partial(self._refused, provider, error))
            raise

    async def _refused(self, provider: Provider, error: SigraError, tx: AsyncConnection) -> None:
        metadata = {"provider": provider.name, "code": error.code, "reason": getattr(error, "reason", None)}
        await self.auth.emit(tx, OAuthRefused(metadata=metadata))

    def _back(self, provider: Provider) -> str:
        return self.auth.url_for(CALLBACK, provider=provider.name)

    async def _reported(self, provider: Provider, asking: Awaitable[T]) -> T:
        """What a provider is asked for; the operator is told why there is none."""
        try:
            return await asking
        except (OAuthFailed, OAuthUnavailable) as error:
            _log.warning("the provider %s: %s", provider.name, error.reason)
            raise

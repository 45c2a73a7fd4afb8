"""Sign-outs that begin at a provider, and end the sessions that came of it (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra import Auth, Event, Identity, Limit, NotFound, Route, UnsupportedMediaType, User, ValidationFailed, hookspecs
from sigra.answers import Problem
from sigra_oauth.errors import OAuthFailed, OAuthUnavailable
from sigra_oauth.grants import Ended, Grants
from sigra_oauth.identities import Identities, LinkedIdentity
from sigra_oauth.provider import LoggedOut, Provider

_log = logging.getLogger("sigra.oauth")

ACTION = "oauth.backchannel"
"""What is counted: each token costs a signature."""

LIMIT = Limit("oauth_backchannel", ACTION, "client", "600/minute")
"""A provider signs many people out at once."""

FORM = "application/x-www-form-urlencoded"
"""What a logout token comes in (section 2.5)."""

NO_STORE = {"cache-control": "no-store"}
"""Section 2.8."""


class LogoutToken(BaseModel):
    """The body of a sign-out that a provider tells."""

    logout_token: Annotated[str, Field(max_length=16384, repr=False)]


@dataclass(frozen=True, kw_only=True)
class OAuthLoggedOut(Event):
    """A provider has signed its user out; `metadata` has the `provider` and the `sessions` that ended."""

    name: ClassVar[str] = "oauth.logged_out"


@dataclass(frozen=True)
class Backchannel:
    """The route by which providers sign their users out."""

    auth: Auth
    providers: Mapping[str, Provider]
    identities: Identities
    grants: Grants

    def routes(self) -> list[Route]:
        return [
            Route(
                "/oauth/{provider}/backchannel-logout",
                self.log_out,
                methods=["POST"],
                cross_origin=True,
                body=LogoutToken,
                answers={200: None, 400: Problem},
            )
        ]

    async def log_out(self, request: Request) -> Response:
        """POST /oauth/{provider}/backchannel-logout: end the sessions that a logout token is about."""
        provider = self.providers.get(request.path_params["provider"])
        if provider is None:
            raise NotFound
        await self.auth.limit(request, ACTION)
        try:
            told = await provider.logged_out(await self._read(request))
            await self.auth.db.transaction(partial(self._log_out, provider, told))
        except (OAuthFailed, OAuthUnavailable) as error:
            _log.warning("a sign-out of %s is not heard: %s", provider.name, error.reason)
            return _refused()
        return Response(headers=NO_STORE)

    async def _read(self, request: Request) -> str:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise UnsupportedMediaType
        try:
            return (await self.auth.read(request, LogoutToken)).logout_token
        except ValidationFailed:
            raise OAuthFailed("there is no logout token, or one that is too long") from None

    async def _log_out(self, provider: Provider, told: LoggedOut, tx: AsyncConnection) -> None:
        await self.grants.logouts.note(self.auth, tx, told)
        identity = None
        if told.subject is not None:
            identity = await self.identities.by_subject(tx, told.issuer, told.subject)
            if identity is None:
                return
        users = await self._lock(tx, told, identity)
        # Only now: a sign-in that was under way has come to its end, or waits for this.
        ended = await self.grants.logged_out(tx, told, identity)
        await self.grants.end(tx, ended)
        for id, its in groupby(sorted(ended, key=attrgetter("user_id")), attrgetter("user_id")):
            if (user := users.get(id) or await self.auth.users.by_id(id, tx)) is not None:
                await self._end(tx, provider, user, list(its))

    async def _lock(self, tx: AsyncConnection, told: LoggedOut, identity: LinkedIdentity | None) -> dict[object, User]:
        """Whom it may be about, locked, in one order whoever locks."""
        ids = {one.user_id for one in await self.grants.logged_out(tx, told, identity)}
        ids |= set() if identity is None else {identity.user_id}
        locked = [await self.auth.users.lock(tx, id) for id in sorted(ids)]
        return {user.id: user for user in locked if user is not None}

    async def _end(self, tx: AsyncConnection, provider: Provider, user: User, ended: Sequence[Ended]) -> None:
        sessions = [one.session_id for one in ended if one.session_id is not None]
        for id in sessions:
            its = Identity(user, "session", str(id), session_id=id)
            await self.auth.each(hookspecs.revoke_session, tx=tx, identity=its)
        metadata = {"provider": provider.name, "sessions": [str(id) for id in sessions]}
        await self.auth.emit(tx, OAuthLoggedOut(user_id=user.id, metadata=metadata))


def _refused() -> Response:
    """What the specification asks for (section 2.8); a form is answered by no page here."""
    error = OAuthFailed
    body: Problem = {
        "type": f"urn:sigra:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": "The logout token is not accepted.",
    }
    return JSONResponse(body, error.status, NO_STORE, "application/problem+json")

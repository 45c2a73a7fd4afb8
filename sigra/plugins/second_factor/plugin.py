"""The plugin: demands a second factor at every sign-in of whoever must have one, and keeps the last one from going."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import click
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sigra.answers import DONE, HTML, Problem
from sigra.errors import AssuranceRequired, InvalidToken, SigraError
from sigra.events import Action, RemoveAuthenticator
from sigra.guards import current_user
from sigra.hookspecs import hookimpl, render_page
from sigra.http.routing import Route
from sigra.models import Authenticator, Challenge, Job, Login, Part, User, timestamp
from sigra.plugins.account import Account
from sigra.plugins.pages import Pages
from sigra.plugins.recovery_codes.plugin import METHOD as RECOVERY_CODE
from sigra.plugins.second_factor import hookspecs as own_hookspecs
from sigra.plugins.second_factor.commands import Commands
from sigra.plugins.second_factor.demands import Demands, Noted, strongest
from sigra.plugins.second_factor.removals import PURPOSE, Removals
from sigra.plugins.second_factor.shapes import (
    Demand,
    FactorRemovalCancelled,
    FactorRemovalRequested,
    FactorsRemoved,
    MailedToken,
    Options,
    SecondFactorDemanded,
    SecondFactorRequired,
)
from sigra.protocols import Auth

MFA = "mfa"

REMOVAL, CANCEL = "second-factor/removal", "second-factor/removal/cancel"
"""Where a removal is stopped: by whoever is signed in, and by the mailed link."""


class SecondFactor:
    """Demands a second factor of whom the policy says."""

    name = "second_factor"
    api = 1
    events = (SecondFactorDemanded, FactorRemovalRequested, FactorRemovalCancelled, FactorsRemoved)
    errors = (SecondFactorRequired,)
    hookspecs = own_hookspecs
    Settings = Options

    def __init__(self, **settings: Any) -> None:
        self.settings = Options(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.demands, self.removals = Demands(metadata), Removals(metadata)
        return [self.demands.table, self.removals.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        cancel, keep = partial(self.cancel, auth), partial(self.keep, auth)
        return [
            Route(f"/{REMOVAL}", keep, methods=["DELETE"], secured=True, answers={**DONE, 404: Problem}),
            Route(f"/{CANCEL}", cancel, methods=["POST"], body=MailedToken, answers=DONE),
            Route(f"/{CANCEL}", partial(self.show, auth), name=PURPOSE, answers={200: HTML}),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("second_factor.removal", timedelta(minutes=10), partial(self.removals.remove_due, auth))]

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        users = cli.commands["users"]
        assert isinstance(users, click.Group)
        Commands(auth, self.demands, self.removals, self.settings).register(users)

    # The demand

    @hookimpl
    async def challenges_for_login(self, auth: Auth, tx: AsyncConnection, login: Login) -> Sequence[Challenge] | None:
        if login.enrolling:
            return None
        noted = await self.demands.of(tx, login.user)
        demand = await self._demand(auth, tx, login.user, noted)
        since = (noted.noticed_at or auth.clock()) if demand else None
        await self.demands.notice(tx, login.user, noted, since)
        if since is None:
            return None
        if await self._has_factor(auth, tx, login.user):
            return [Challenge(MFA, None, waivable=demand != "always")]
        # It is met by what is no longer missing: whoever adds a factor then has one.
        is_over = auth.clock() >= since + self.settings.grace
        return [Challenge("enrollment", None, waivable=False)] * is_over

    async def _demand(self, auth: Auth, tx: AsyncConnection, user: User, noted: Noted) -> Demand | None:
        said = await auth.each(own_hookspecs.second_factor_demand, tx=tx, user=user)
        return strongest((self.settings.demand, noted.demand, *said))

    async def _has_factor(self, auth: Auth, tx: AsyncConnection, user: User) -> bool:
        return any(_is_factor(one) for one in await auth.authenticators.of(tx, user))

    @hookimpl
    async def before_action(self, auth: Auth, tx: AsyncConnection, action: Action) -> None:
        # Without a request it is an administrator's word, which holds.
        if not isinstance(action, RemoveAuthenticator) or action.request is None:
            return
        if not _is_factor(action.authenticator) or await self._has_factor(auth, tx, action.user):
            return
        if await self._demand(auth, tx, action.user, await self.demands.of(tx, action.user)):
            raise SecondFactorRequired

    # Stopping a removal

    @hookimpl
    async def cookies_for_login(self, auth: Auth, tx: AsyncConnection, login: Login) -> None:
        if MFA in login.met:
            await self.removals.cancel(auth, tx, login.user, "factor")

    @hookimpl
    async def authenticator_added(
        self, auth: Auth, tx: AsyncConnection, user: User, authenticator: Authenticator
    ) -> None:
        if authenticator.kind == MFA:
            await self.removals.cancel(auth, tx, user, "factor")

    async def keep(self, auth: Auth, request: Request) -> Response:
        """DELETE /second-factor/removal: whoever is signed in keeps the factors; 404 when no removal waits."""
        user = await current_user(request)
        await auth.db.transaction(partial(self.removals.cancel_own, auth, user))
        return Response(status_code=204)

    async def cancel(self, auth: Auth, request: Request) -> Response:
        """POST /second-factor/removal/cancel: whoever reads the account's mail keeps the factors; signs nobody in."""
        body = await auth.read(request, MailedToken)
        async with auth.attempt(request, method=PURPOSE, guessable=False), auth.db.connect() as tx:
            held = await auth.tokens.find(tx, PURPOSE, body.token)
        if held is None:
            raise InvalidToken
        await auth.db.transaction(partial(self.removals.cancel_by_link, auth, held))
        return Response(status_code=204)

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /second-factor/removal/cancel: the page that takes the token of the mailed link; opening does nothing."""
        shown = await auth.first(render_page, request=request, page=CANCEL, context={"error": None}, status=200)
        assert shown is not None
        return shown

    # Pages

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page != CANCEL:
            return None
        return await auth.render(request, "second_factor/cancel.html", {"posted": page, **context}, status, page=page)

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page != "account" or user is None:
            return None
        async with auth.db.connect() as tx:
            noted, removal = await self.demands.of(tx, user), await self.removals.exported(tx, user)
            demand = await self._demand(auth, tx, user, noted)
            is_missing = demand is not None and not await self._has_factor(auth, tx, user)
        if not is_missing and removal is None:
            return None
        context = {"is_missing": is_missing, "until": self._until(noted), "removal": removal}
        return [Part("main", 210, "second_factor/account.html", context)]

    def _until(self, noted: Noted) -> str | None:
        """Until when somebody may sign in without; None when the next sign-in will tell."""
        return None if noted.noticed_at is None else timestamp(noted.noticed_at + self.settings.grace)

    @hookimpl
    async def render_error(self, auth: Auth, request: HTTPConnection, error: SigraError) -> Response | None:
        """For a person: what an account lacks that a page of the application asks for."""
        if not isinstance(error, AssuranceRequired) or not error.in_vain or not auth.has(Pages):
            return None
        if request.scope["method"] not in ("GET", "HEAD") or "text/html" not in request.headers.get("accept", ""):
            return None
        context = {"error": error, "has_account": auth.has(Account)}
        return await auth.render(Request(request.scope), "second_factor/stronger.html", context, error.status)

    # The user's and the operator's data

    @hookimpl
    async def forget_authenticators(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        await self.removals.end(auth, tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        """A removal may have been stopped since; whoever was chosen stays so."""
        return {"removals of second factors": await self.removals.end_all(tx)}

    @hookimpl
    async def erase_user(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        await self.removals.end(auth, tx, user)
        await self.demands.end(tx, user)

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any]:
        async with auth.db.connect() as tx:
            noted, removal = await self.demands.of(tx, user), await self.removals.exported(tx, user)
        noticed: datetime | None = noted.noticed_at
        held = {"demand": noted.demand, "noticed_at": noticed and timestamp(noticed), "removal": removal}
        return {"second_factor": held}


def _is_factor(authenticator: Authenticator) -> bool:
    """Whether it is a second factor, and not what stands in for one that was lost."""
    return authenticator.kind == MFA and authenticator.method != RECOVERY_CODE

"""The plugin: passkeys to sign in with, alone or as a second factor, and their section of the account page."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from sigra import (
    Auth,
    Authenticator,
    Challenge,
    Limit,
    Login,
    NotFound,
    Part,
    Route,
    User,
    confirmation,
    current_user,
    hookimpl,
    hookspecs,
    requires,
)
from sigra.answers import DONE, HTML, SIGN_IN, Problem
from sigra_passkeys.challenges import ACTION
from sigra_passkeys.configuring import relying_party
from sigra_passkeys.described import METHOD, described
from sigra_passkeys.proving import Proving
from sigra_passkeys.registering import PAGE, Registering
from sigra_passkeys.related import announcing
from sigra_passkeys.shapes import (
    AllPasskeys,
    Naming,
    NewPasskey,
    Nothing,
    Options,
    PasskeyCounterWentBack,
    Proof,
    PublicPasskey,
    RegisteredPasskey,
    Wanted,
)
from sigra_passkeys.stored import Passkey, Stored

SECTION, CHALLENGE = "passkeys", "login/challenge"


class Passkeys:
    """Signs in by passkeys."""

    name = "passkeys"
    api = 1
    events = (PasskeyCounterWentBack,)
    Settings = Options

    def __init__(self, **settings: Any) -> None:
        self.settings = Options(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.stored = Stored(metadata)
        return [self.stored.table, self.stored.handles]

    @hookimpl
    def register_templates(self) -> Sequence[Path]:
        return [Path(__file__).parent / "templates"]

    @hookimpl
    def register_limits(self) -> Sequence[Limit]:
        return [Limit("passkeys_options", ACTION, "client", "60/minute")]

    @hookimpl
    def register_middleware(self, auth: Auth) -> Sequence[Callable[[ASGIApp], ASGIApp]]:
        origins = relying_party(self.settings, auth.settings.base_url).origins
        return [partial(announcing, origins=origins)] * (len(origins) > 1)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        party = relying_party(self.settings, auth.settings.base_url)
        registering = Registering(auth, party, self.stored)
        proving = Proving(auth, party, self.stored, self.settings)
        made = {**SIGN_IN, 200: (dict[str, Any], HTML), 201: (RegisteredPasskey, HTML), 409: Problem}
        one = f"/{SECTION}/{{id:uuid}}"
        options = {200: dict[str, Any], 409: Problem}
        return [
            Route(f"/{PAGE}/options", registering.begin, methods=["POST"], body=Nothing, answers=options),
            Route(f"/{PAGE}", registering.finish, methods=["POST"], body=NewPasskey, answers=made),
            Route(
                "/login/passkey/options", proving.begin, methods=["POST"], body=Wanted, answers={200: dict[str, Any]}
            ),
            Route("/login/passkey", proving.finish, methods=["POST"], body=Proof, answers=SIGN_IN),
            Route(f"/{SECTION}", partial(self.show, auth), secured=True, answers={200: (AllPasskeys, HTML)}),
            Route(
                one,
                partial(self.rename, auth),
                methods=["PATCH"],
                secured=True,
                body=Naming,
                answers={200: PublicPasskey, 303: None},
            ),
            Route(one, partial(self.remove, auth), methods=["DELETE"], secured=True, answers={**DONE, 409: Problem}),
        ]

    # What a user has

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /passkeys: the user's passkeys, the oldest first."""
        user = await current_user(request)
        answer: AllPasskeys = {"passkeys": [one.public() for one in await self._of(auth, user)]}
        return await auth.show(request, "account", answer)

    async def rename(self, auth: Auth, request: Request) -> Response:
        """PATCH /passkeys/{id}: what the user calls it. Needs a fresh sign-in."""
        user = await requires(fresh=True)(request)
        body = await auth.read(request, Naming)
        id: uuid.UUID = request.path_params["id"]
        if not await auth.db.transaction(partial(self.stored.rename, user=user, id=id, name=body.name.strip())):
            raise NotFound
        [renamed] = [one for one in await self._of(auth, user) if one.id == id]
        return JSONResponse(renamed.public())

    async def remove(self, auth: Auth, request: Request) -> Response:
        """DELETE /passkeys/{id}: it lets nobody in any more, and every other session ends. Needs a fresh sign-in."""
        await requires(fresh=True)(request)
        return await auth.renew(request, partial(self._remove, auth, request))

    async def _remove(self, auth: Auth, request: Request, tx: AsyncConnection, user: User) -> None:
        removed = await self.stored.remove(tx, user, request.path_params["id"])
        if removed is None:
            raise NotFound
        await auth.authenticators.removed(tx, user, described(removed), request)

    async def _of(self, auth: Auth, user: User) -> list[Passkey]:
        async with auth.db.connect() as tx:
            return await self.stored.of(tx, user.id)

    # What it proves

    @hookimpl
    async def challenges_for_login(self, tx: AsyncConnection, login: Login) -> Sequence[Challenge]:
        if login.enrolling:
            return [Challenge("enrollment", METHOD, waivable=False)]
        if await self.stored.count(tx, login.user):
            return [Challenge("mfa", METHOD)]
        return [Challenge("enrollment", METHOD, waivable=False, alternative=True)]

    @hookimpl
    async def authenticators_for_user(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator]:
        return [described(one) for one in await self.stored.of(tx, user.id)]

    @hookimpl
    async def forget_factors(self, tx: AsyncConnection, user: User) -> None:
        await self.stored.clear(tx, user)

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.stored.clear(tx, user)

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await self.stored.clear(tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection, passwords: bool) -> Mapping[str, int] | None:
        """One that was removed after the backup is there again: as with passwords, nobody can tell which."""
        return {"passkeys": await self.stored.clear_all(tx)} if passwords else None

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> AllPasskeys:
        return {"passkeys": [one.public() for one in await self._of(auth, user)]}

    # Pages

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page == "login" and user is None:
            return [Part("alternatives", 100, "passkeys/login.html")]
        if page == CHALLENGE:
            return await self._challenge_parts(auth, await auth.pending(request))
        if user is None or page not in ("account", "reauthenticate"):
            return None
        own = [one.public() for one in await self._of(auth, user)]
        if page == "reauthenticate":
            return [Part("alternatives", 100, "passkeys/reauthenticate.html")] if own else None
        context = {"passkeys": own, "confirm": confirmation(request, SECTION)}
        return [Part("main", 210, "passkeys/account.html", context)]

    async def _challenge_parts(self, auth: Auth, login: Login) -> Sequence[Part]:
        if login.may_enroll:
            return [Part("main", 110, "passkeys/enroll.html")]
        async with auth.db.connect() as tx:
            count = await self.stored.count(tx, login.user)
        return [Part("main", 90, "passkeys/challenge.html")] if count and "mfa" in login.owed else []

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page != PAGE:
            return None
        if "id" in context:
            return await auth.render(request, "passkeys/registered.html", context, status)
        around = "account" if request.scope["sigra.identity"] else CHALLENGE
        given = {"posted": page, **context}
        return await auth.first(hookspecs.render_page, request=request, page=around, context=given, status=status)

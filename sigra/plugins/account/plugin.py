"""The plugin: profile, export and deletion by route, and the page on which every plugin has its section."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra.answers import HTML
from sigra.events import Event
from sigra.guards import confirmation, current_user, requires
from sigra.hookspecs import export_user, hookimpl
from sigra.http.routing import Route
from sigra.models import Job, Part, User, timestamp
from sigra.plugins.account.deletion import PAGE, AccountDeleted, DeletionCancelled, Deletions, DeletionScheduled
from sigra.plugins.account.profile import ChangeProfile, Profile, ProfileChanged, PublicProfile, profile, record
from sigra.protocols import Auth

ACCOUNT = "account"


@dataclass(frozen=True, kw_only=True)
class AccountExported(Event):
    """A user took a copy of all that is held about them."""

    name: ClassVar[str] = "account.exported"


class Account:
    """Shows and changes the profile, hands out what is held, and ends the account."""

    name = ACCOUNT
    api = 1
    events = (ProfileChanged, AccountExported, DeletionScheduled, DeletionCancelled, AccountDeleted)

    class Settings(BaseModel):
        """What people may do with their accounts.

        Args:
            grace: How long a deleted account stays closed before it is erased; until then its user may come back.
            erasure: `erase`, or `anonymise`: the row stays for what the application hangs on it, and says nothing of
                anybody.
            languages: Those that the page offers for mails, as each calls itself, by tag.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        grace: timedelta = Field(default=timedelta(days=14), gt=timedelta(0))
        erasure: Literal["erase", "anonymise"] = "erase"
        languages: dict[str, str] = Field(default_factory=lambda: {"en": "English", "de": "Deutsch"})

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)
        self._deletions = Deletions(self.settings.grace, self.settings.erasure)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        return self._deletions.tables(metadata)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route(
                f"/{ACCOUNT}",
                partial(self.show, auth),
                methods=["GET"],
                secured=True,
                answers={200: (PublicProfile, HTML), 303: None},
            ),
            Route(
                f"/{ACCOUNT}",
                partial(self.change, auth),
                methods=["PATCH"],
                secured=True,
                body=Profile,
                answers={200: PublicProfile, 303: None},
            ),
            Route(
                "/account/export", partial(self.export, auth), secured=True, answers={200: dict[str, Any], 303: None}
            ),
            *self._deletions.routes(auth),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return self._deletions.jobs(auth)

    # The profile

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /account: who is signed in, and the page on which every plugin has its section."""
        user = await current_user(request)
        return await auth.show(request, ACCOUNT, profile(user))

    async def change(self, auth: Auth, request: Request) -> Response:
        """PATCH /account: change the profile; what is not named stays."""
        await current_user(request)
        wanted = await auth.read(request, Profile)
        changed = await auth.db.transaction(partial(self._change, auth, request, wanted))
        return JSONResponse(profile(changed))

    async def _change(self, auth: Auth, request: Request, wanted: Profile, tx: AsyncConnection) -> User:
        locked = await auth.present(tx, request)
        fields = sorted(name for name in wanted.model_fields_set if getattr(wanted, name) != getattr(locked, name))
        if not fields:
            return locked
        await auth.act(tx, ChangeProfile(user=locked, request=request))
        values = {name: getattr(wanted if name in fields else locked, name) for name in Profile.model_fields}
        changed = await auth.users.describe(tx, locked, **values)
        await auth.emit(tx, ProfileChanged(user_id=locked.id, metadata={"fields": fields}))
        return changed

    # What is held

    async def export(self, auth: Auth, request: Request) -> Response:
        """GET /account/export: all that is held about who is signed in, to keep. Needs a fresh sign-in."""
        user = await requires(fresh=True)(request)
        held = await auth.each(export_user, user=user)
        await auth.db.transaction(partial(auth.emit, event=AccountExported(user_id=user.id)))
        named = {name: value for one in held for name, value in one.items()}
        text = json.dumps({"exported_at": timestamp(auth.clock()), **named}, indent=2, ensure_ascii=False)
        headers = {"content-disposition": 'attachment; filename="account.json"'}
        return Response(text, media_type="application/json", headers=headers)

    @hookimpl
    async def export_user(self, user: User) -> Mapping[str, Any]:
        return {ACCOUNT: record(user)}

    @hookimpl
    async def end_restored(self, auth: Auth, tx: AsyncConnection) -> Mapping[str, int]:
        return {"deletions begun again": await self._deletions.begin_again(auth, tx)}

    @hookimpl
    async def erase_user(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        await self._deletions.forget(auth, tx, user)

    # Pages

    @hookimpl
    async def parts_for_page(self, request: Request, page: str) -> Sequence[Part] | None:
        if page != ACCOUNT:
            return None
        context = {"confirm": confirmation(request, "data"), "days": self.settings.grace.days}
        return [
            Part("main", 100, "account/account.html", {"languages": self.settings.languages}),
            Part("main", 900, "account/leave.html", context),
        ]

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page != PAGE:
            return None
        return await auth.render(request, "account/cancel.html", {"posted": page, **context}, status, page=page)

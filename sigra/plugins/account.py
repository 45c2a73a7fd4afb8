"""The account itself: who its user is, as JSON and as the page on which every plugin has its section."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra.answers import HTML, PublicUser
from sigra.errors import Unauthenticated
from sigra.events import Action, Event
from sigra.guards import current_user
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.models import Part, User
from sigra.protocols import Auth

PAGE = "account"

_JOINERS = frozenset("\u200c\u200d")
"""Invisible, and letters of some scripts are wrong without them (Unicode Standard, section 23.2)."""


def _name(text: str | None) -> str | None:
    """A name in one form; None for one that is only space."""
    text = unicodedata.normalize("NFC", text or "").strip()
    if not all(character.isprintable() or character in _JOINERS for character in text):
        raise ValueError("must be printable text")
    return text or None


class Profile(BaseModel):
    """The body of a change: what is not named stays."""

    name: Annotated[str | None, Field(max_length=200), AfterValidator(_name)] = None


@dataclass(frozen=True, kw_only=True)
class ChangeProfile(Action):
    """A user changes what the account says of its user."""

    name: ClassVar[str] = "change_profile"


@dataclass(frozen=True, kw_only=True)
class ProfileChanged(Event):
    """A profile was changed; `metadata` has the names of the `fields`, not what they say."""

    name: ClassVar[str] = "account.profile_changed"


class Account:
    """Shows and changes the profile."""

    name = "account"
    api = 1
    events = (ProfileChanged,)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route(
                f"/{PAGE}",
                partial(self.show, auth),
                methods=["GET"],
                secured=True,
                answers={200: (PublicUser, HTML), 303: None},
            ),
            Route(
                f"/{PAGE}",
                partial(self.change, auth),
                methods=["PATCH"],
                secured=True,
                body=Profile,
                answers={200: PublicUser, 303: None},
            ),
        ]

    @hookimpl
    async def parts_for_page(self, page: str) -> Sequence[Part] | None:
        return [Part("main", 100, "account/account.html")] if page == PAGE else None

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /account: who is signed in, and the page on which every plugin has its section."""
        user = await current_user(request)
        return await auth.show(request, PAGE, user.public())

    async def change(self, auth: Auth, request: Request) -> Response:
        """PATCH /account: change the profile; what is not named stays."""
        user = await current_user(request)
        wanted = await auth.read(request, Profile)
        changed = await auth.db.transaction(partial(self._change, auth, request, user, wanted))
        return JSONResponse(changed.public())

    async def _change(self, auth: Auth, request: Request, user: User, wanted: Profile, tx: AsyncConnection) -> User:
        locked = await auth.users.lock(tx, user.id)
        if locked is None or locked.status != "active":
            raise Unauthenticated
        fields = sorted(name for name in wanted.model_fields_set if getattr(wanted, name) != getattr(locked, name))
        if not fields:
            return locked
        await auth.act(tx, ChangeProfile(user=locked, request=request))
        changed = await auth.users.describe(tx, locked, name=wanted.name, locale=locked.locale)
        await auth.emit(tx, ProfileChanged(user_id=user.id, metadata={"fields": fields}))
        return changed

"""The plugin: a route that signs in, a challenge for those who signed in otherwise, a table, settings, an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Boolean, Column, MetaData, String, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, Challenge, Event, InvalidCredentials, Login, Part, Refused, Route, User, hookimpl
from sigra.db import UTCDateTime, user_ref

Number = Annotated[str, Field(min_length=1, max_length=32)]
Pin = Annotated[str, Field(min_length=4, max_length=12, repr=False)]


@dataclass(frozen=True, kw_only=True)
class BadgeRead(Event):
    """A badge was read and its PIN was right; `metadata` has the `number`."""

    name: ClassVar[str] = "badge.read"


class BadgeBlocked(Refused):
    """Raised for a badge that was reported lost, after its PIN."""

    code, title = "badge_blocked", "Badge blocked"
    detail = "This badge was reported lost."


class Swipe(BaseModel):
    """The body of a sign-in by badge."""

    number: Number
    pin: Pin


class Proof(BaseModel):
    """The body that meets the challenge; the badge is the user's own."""

    pin: Pin
    login_token: str | None = Field(default=None, max_length=512, repr=False)


class Badge:
    """Signs in by badge and, when it is required, asks everybody who has one for it."""

    name = "badge"
    api = 1
    events = (BadgeRead,)
    errors = (BadgeBlocked,)

    class Settings(BaseModel):
        """When a badge is needed.

        Args:
            required: Whether who has a badge must show it, whatever else was proven.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        required: bool = False

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_badges",
            metadata,
            Column("number", String(32), primary_key=True),
            user_ref(),
            Column("pin", String(255), nullable=False),
            Column("blocked", Boolean, nullable=False),
            Column("issued_at", UTCDateTime, nullable=False),
        )
        return [self.table]

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route("/badge", partial(self.sign_in, auth), methods=["POST"]),
            Route("/login/badge", partial(self.meet, auth), methods=["POST"]),
        ]

    @hookimpl
    def register_templates(self) -> Sequence[Path]:
        return [Path(__file__).parent / "templates"]

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        if page == "login":
            return [Part("alternatives", 100, "badge/login.html")]
        if page != "login/challenge":
            return None
        login = await auth.pending(request)
        async with auth.db.connect() as tx:
            has_one = await self._of_user(tx, login.user) is not None
        return [Part("main", 100, "badge/challenge.html")] if has_one else None

    @hookimpl
    async def challenges_for_login(self, tx: AsyncConnection, login: Login) -> Sequence[Challenge] | None:
        if not self.settings.required or await self._of_user(tx, login.user) is None:
            return None
        return [Challenge("badge", "badge", waivable=False)]

    async def sign_in(self, auth: Auth, request: Request) -> Response:
        """POST /badge: a number and its PIN."""
        body = await auth.read(request, Swipe)
        async with auth.db.connect() as tx:
            badge = await self._of_number(tx, body.number)
            user = await auth.users.by_id(badge["user_id"], tx) if badge else None
        async with auth.attempt(request, method="badge", user=user):
            await self._check(auth, badge, body.pin)
            if user is None:
                raise InvalidCredentials
            login = Login(user, ("hwk", "pin"), methods=("badge",), met=frozenset({"badge"}))
            return await auth.sign_in(request, login)

    async def meet(self, auth: Auth, request: Request) -> Response:
        """POST /login/badge: the PIN, while a sign-in waits for the badge."""
        body = await auth.read(request, Proof)
        login = await auth.pending(request)
        async with auth.db.connect() as tx:
            badge = await self._of_user(tx, login.user)
        async with auth.attempt(request, method="badge", user=login.user):
            await self._check(auth, badge, body.pin)
            return await auth.sign_in(request, login.passed("badge", amr=("hwk", "pin"), meets=("badge",)))

    async def issue(self, auth: Auth, user: User, number: str, pin: str, *, blocked: bool = False) -> None:
        """Give a user a badge."""
        hash = await auth.hasher.hash(pin)
        row = {"number": number, "user_id": user.id, "pin": hash, "blocked": blocked, "issued_at": auth.clock()}
        await auth.db.transaction(lambda tx: tx.execute(insert(self.table).values(row)))

    async def _check(self, auth: Auth, badge: Mapping[str, Any] | None, pin: str) -> None:
        """The same work whether or not there is such a badge."""
        if not await auth.hasher.verify(badge["pin"] if badge else None, pin) or badge is None:
            raise InvalidCredentials
        if badge["blocked"]:
            raise BadgeBlocked
        read = BadgeRead(user_id=badge["user_id"], metadata={"number": badge["number"]})
        await auth.db.transaction(partial(auth.emit, event=read))

    async def _of_number(self, tx: AsyncConnection, number: str) -> Mapping[str, Any] | None:
        return (await tx.execute(select(self.table).where(self.table.c.number == number))).mappings().first()

    async def _of_user(self, tx: AsyncConnection, user: User) -> Mapping[str, Any] | None:
        return (await tx.execute(select(self.table).where(self.table.c.user_id == user.id))).mappings().first()

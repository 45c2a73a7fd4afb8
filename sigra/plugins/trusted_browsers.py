"""Trusted browsers: where a user proved a second factor and asked not to be asked for it again for a while."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from typing_extensions import TypedDict

from sigra.answers import DONE, HTML, Identifier, Timestamp
from sigra.db import Digest, Id, UTCDateTime, delete_batch, user_ref
from sigra.errors import NotFound
from sigra.events import Event
from sigra.guards import current_user
from sigra.hookspecs import challenges_for_login, hookimpl
from sigra.http.routing import Route
from sigra.models import Cookie, Issued, Job, Login, Part, User, timestamp
from sigra.protocols import Auth

COOKIE = "sigra-trusted"
PURPOSE = "trusted_browser"
MFA = "mfa"

AGENT_LENGTH = 512
"""What is kept of a `User-Agent`."""


@dataclass(frozen=True, kw_only=True)
class TrustedBrowserAdded(Event):
    """A browser is spared the second factor from now on; `metadata` has its `trusted_browser_id`."""

    name: ClassVar[str] = "trusted_browser.added"


@dataclass(frozen=True, kw_only=True)
class TrustedBrowserRemoved(Event):
    """A user trusts a browser no more; `metadata` has its `trusted_browser_id`."""

    name: ClassVar[str] = "trusted_browser.removed"


class PublicTrustedBrowser(TypedDict):
    """A trusted browser, as its user may see it."""

    id: Identifier
    created_at: Timestamp
    last_used_at: Timestamp
    expires_at: Timestamp
    user_agent: str | None
    ip: str | None
    current: bool


class AllTrustedBrowsers(TypedDict):
    """A user's trusted browsers, newest first."""

    trusted_browsers: list[PublicTrustedBrowser]


class TrustedBrowsers:
    """Spares browsers that their user trusts the second factor, and never the first."""

    name = "trusted_browsers"
    api = 1
    events = (TrustedBrowserAdded, TrustedBrowserRemoved)

    class Settings(BaseModel):
        """How long a browser is trusted.

        Args:
            lifetime: Since the second factor was proven there; at least an hour, at most 90 days.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        lifetime: timedelta = Field(default=timedelta(days=30), ge=timedelta(hours=1), le=timedelta(days=90))

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_trusted_browsers",
            metadata,
            Column("id", Id(), primary_key=True),
            user_ref(),
            Column("digest", Digest(), nullable=False, index=True),
            Column("user_agent", Text),
            Column("ip", String(45)),
            Column("created_at", UTCDateTime, nullable=False),
            Column("last_used_at", UTCDateTime, nullable=False),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
            UniqueConstraint("user_id", "digest", name="uq_sigra_trusted_browsers_user"),
        )
        return [self.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        path, one = "/trusted-browsers", "/trusted-browsers/{id:uuid}"
        return [
            Route(path, partial(self.show_all, auth), secured=True, answers={200: (AllTrustedBrowsers, HTML)}),
            Route(one, partial(self.remove, auth), methods=["DELETE"], secured=True, answers=DONE),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("trusted_browsers.expired", timedelta(hours=1), partial(self._sweep, auth))]

    async def _sweep(self, auth: Auth) -> bool:
        past = self.table.c.expires_at <= auth.clock()
        return await auth.db.transaction(partial(delete_batch, table=self.table, ended=past))

    # Sign-ins

    @hookimpl
    async def waivers_for_login(
        self, auth: Auth, tx: AsyncConnection, request: Request, login: Login
    ) -> Collection[str] | None:
        its = self._trusted_here(auth, request, login.user)
        if its is None:
            return None
        # Stored anew by the first key of the ring: it outlives the older ones.
        digest = self._digests(auth, request)[0]
        used = await tx.execute(update(self.table).where(its).values(last_used_at=auth.clock(), digest=digest))
        return (MFA,) if used.rowcount else None

    @hookimpl
    async def cookies_for_login(
        self, auth: Auth, tx: AsyncConnection, request: Request, login: Login, issued: Issued
    ) -> Sequence[Cookie] | None:
        # Met by what was proven just now: a browser does not earn trust by the trust that it has.
        if not login.trust_browser or MFA not in login.met or await self._is_forbidden(auth, tx, request, login):
            return None
        secret = auth.tokens.mint(PURPOSE)
        await self._share(auth, tx, request, login.user, secret.digest)
        row = self._row(auth, request, login.user, secret.digest)
        await tx.execute(insert(self.table).values(row))
        await auth.emit(tx, _fact(TrustedBrowserAdded, login.user, row["id"]))
        return [Cookie(COOKIE, secret.text, int(self.settings.lifetime.total_seconds()))]

    async def _is_forbidden(self, auth: Auth, tx: AsyncConnection, request: Request, login: Login) -> bool:
        """Whether somebody demands a second factor of every sign-in of the user, so that trust would be none."""
        unproven = replace(login, met=frozenset())
        demanded = await auth.each(challenges_for_login, tx=tx, request=request, login=unproven)
        return any(one.kind == MFA and not one.waivable for its in demanded for one in its)

    async def _share(self, auth: Auth, tx: AsyncConnection, request: Request, user: User, digest: bytes) -> None:
        """Go on to a new secret with everybody who trusts this browser; the user's own trust of before ends.

        One of them may have kept the old secret, or put it there: it is not to be trusted by who comes later.
        """
        table, digests = self.table, self._digests(auth, request)
        if not digests:
            return
        here = and_(table.c.digest.in_(digests), table.c.expires_at > auth.clock())
        await tx.execute(delete(table).where(table.c.digest.in_(digests), table.c.user_id == user.id))
        await tx.execute(update(table).where(here).values(digest=digest))

    def _row(self, auth: Auth, request: Request, user: User, digest: bytes) -> dict[str, Any]:
        now, user_agent = auth.clock(), request.headers.get("user-agent")
        return {
            "id": uuid.uuid4(),
            "user_id": user.id,
            "digest": digest,
            "user_agent": user_agent and user_agent[:AGENT_LENGTH],
            "ip": auth.client(request)[:45],
            "created_at": now,
            "last_used_at": now,
            "expires_at": now + self.settings.lifetime,
        }

    def _digests(self, auth: Auth, request: HTTPConnection) -> Sequence[bytes]:
        """What the secret of the request may be stored as; empty without one."""
        return auth.tokens.digests(PURPOSE, auth.cookie(request, COOKIE) or "")

    def _trusted_here(self, auth: Auth, request: HTTPConnection, user: User) -> ColumnElement[bool] | None:
        """The row by which the user trusts the browser of the request; None when it has no secret."""
        digests, table = self._digests(auth, request), self.table
        if not digests:
            return None
        return and_(table.c.user_id == user.id, table.c.digest.in_(digests), table.c.expires_at > auth.clock())

    # The list

    async def show_all(self, auth: Auth, request: Request) -> Response:
        """GET /trusted-browsers: the browsers in which the user is not asked for a second factor, newest first."""
        user = await current_user(request)
        answer: AllTrustedBrowsers = {"trusted_browsers": await self._live(auth, request, user)}
        return await auth.show(request, "account", answer)

    async def remove(self, auth: Auth, request: Request) -> Response:
        """DELETE /trusted-browsers/{id}: trust one no more; 404 for foreign and absent alike."""
        user = await current_user(request)
        await auth.db.transaction(partial(self._remove, auth, user, request.path_params["id"]))
        return Response(status_code=204)

    async def _remove(self, auth: Auth, user: User, wanted: uuid.UUID, tx: AsyncConnection) -> None:
        mine = and_(self.table.c.id == wanted, self.table.c.user_id == user.id)
        if (await tx.execute(delete(self.table).where(mine))).rowcount != 1:
            raise NotFound
        await auth.emit(tx, _fact(TrustedBrowserRemoved, user, wanted))

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page != "account" or user is None:
            return None
        trusted = await self._live(auth, request, user)
        if not trusted and not await self._has_factor(auth, user):
            return None
        return [Part("main", 310, "trusted_browsers/account.html", {"trusted_browsers": trusted})]

    async def _has_factor(self, auth: Auth, user: User) -> bool:
        async with auth.db.connect() as tx:
            return any(one.kind == MFA for one in await auth.authenticators.of(tx, user))

    async def _live(self, auth: Auth, request: HTTPConnection, user: User) -> list[PublicTrustedBrowser]:
        digests, now = self._digests(auth, request), auth.clock()
        rows = await self._rows(auth, user)
        return [_public(row, row["digest"] in digests) for row in rows if row["expires_at"] > now]

    async def _rows(self, auth: Auth, user: User) -> Sequence[RowMapping]:
        query = select(self.table).where(self.table.c.user_id == user.id).order_by(self.table.c.created_at.desc())
        async with auth.db.connect() as tx:
            return (await tx.execute(query)).mappings().all()

    # What ends it

    @hookimpl
    async def revoke_credentials(self, tx: AsyncConnection, user: User) -> None:
        """All of them, the browser of the session that is kept too: whoever trusted it may have been an intruder."""
        await self.erase_user(tx, user)

    @hookimpl
    async def forget_factors(self, tx: AsyncConnection, user: User) -> None:
        await self.erase_user(tx, user)

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.erase_user(tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        return {"trusted browsers": (await tx.execute(delete(self.table))).rowcount}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> AllTrustedBrowsers:
        return {"trusted_browsers": [_public(row, current=False) for row in await self._rows(auth, user)]}


def _fact(kind: type[Event], user: User, id: uuid.UUID) -> Event:
    return kind(user_id=user.id, actor_id=user.id, metadata={"trusted_browser_id": str(id)})


def _public(row: RowMapping, current: bool) -> PublicTrustedBrowser:
    return {
        "id": str(row["id"]),
        "created_at": timestamp(row["created_at"]),
        "last_used_at": timestamp(row["last_used_at"]),
        "expires_at": timestamp(row["expires_at"]),
        "user_agent": row["user_agent"],
        "ip": row["ip"],
        "current": current,
    }

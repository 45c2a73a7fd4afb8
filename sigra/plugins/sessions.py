"""Sessions: an opaque secret in a cookie, one row each, looked up on every request: a revocation is seen at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, Text, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from sigra.answers import DONE, HTML, PublicSession, PublicUser
from sigra.db import Digest, Id, LastUse, Lookup, UTCDateTime, at_present, delete_batch, elapsed, user_ref
from sigra.errors import InvalidToken, NotFound, Unauthenticated
from sigra.events import AuthenticatorAdded, Event
from sigra.guards import current_user
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.models import Assurance, Cookie, Identity, Issued, Job, Login, MintedSecret, Part, User, timestamp
from sigra.protocols import Auth

COOKIE = "sigra"
PURPOSE = "session"

_NO_SCOPES: frozenset[str] = frozenset()

_OF_IDENTITY = ("id", "amr", "assurance", "authenticated_at")
"""What an identity has of its session."""


@dataclass(frozen=True, kw_only=True)
class SessionRevoked(Event):
    """A user ended one session, or all others; `metadata` has the `session` or None."""

    name: ClassVar[str] = "session.revoked"


@dataclass(frozen=True, kw_only=True)
class SessionRenewed(Event):
    """A session goes on under a new id, `session_id`; `metadata` has the one that it `replaces`."""

    name: ClassVar[str] = "session.renewed"


class Nothing(BaseModel):
    """A body without members of its own."""


class PublicIdentity(TypedDict):
    """The credential of a request."""

    method: str
    scopes: list[str]
    amr: list[str]
    assurance: Assurance


class WhoAsks(TypedDict):
    """Who asks, and by what; without a `session` for an API key."""

    user: PublicUser
    session: PublicSession | None
    identity: PublicIdentity


class AllSessions(TypedDict):
    """A user's live sessions, newest first."""

    sessions: list[PublicSession]


class Sessions:
    """Carries a sign-in as a cookie."""

    name = "sessions"
    api = 1
    carriers = ("session",)
    cookies = (COOKIE,)
    events = (SessionRevoked, SessionRenewed)

    class Settings(BaseModel):
        """How long a session lives (NIST SP 800-63B, section 4; OWASP Session Management Cheat Sheet).

        Args:
            idle: Without a request, at most.
            absolute: Since the sign-in, at most.
            remember_idle: `idle` of a session that the user asked to be remembered.
            remember_absolute: `absolute` of such a session.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        idle: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))
        absolute: timedelta = Field(default=timedelta(hours=24), gt=timedelta(0))
        remember_idle: timedelta = Field(default=timedelta(days=14), gt=timedelta(0))
        remember_absolute: timedelta = Field(default=timedelta(days=30), gt=timedelta(0))

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, auth: Auth, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_sessions",
            metadata,
            Column("id", Id(), primary_key=True),
            user_ref(),
            Column("digest", Digest(), nullable=False, unique=True),
            Column("amr", String(255), nullable=False),
            Column("assurance", String(8), nullable=False),
            Column("created_at", UTCDateTime, nullable=False),
            Column("authenticated_at", UTCDateTime),
            Column("last_used_at", UTCDateTime, nullable=False),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
            Column("idle_seconds", Integer, nullable=False),
            Column("remembered", Boolean, nullable=False, default=False),
            Column("unfamiliar", Boolean, nullable=False, default=False),
            Column("user_agent", Text),
            Column("ip", String(45)),
        )
        its, now = self.table.c, at_present(auth.clock)
        columns = [*(its[name] for name in _OF_IDENTITY), elapsed(its.last_used_at, now), its.idle_seconds]
        self.lookup = Lookup(self.table, its.digest, its.expires_at > now, columns=columns, made=_found)
        self.last_use = LastUse(self.table)
        return [self.table]

    @hookimpl
    def register_resources(self, auth: Auth) -> Sequence[AbstractAsyncContextManager[object]]:
        return [self.last_use.writing(auth.db)]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route("/session", partial(self.show, auth), secured=True, any_identity=True, answers={200: WhoAsks}),
            Route("/logout", partial(self.sign_out, auth), methods=["POST"], body=Nothing, answers=DONE),
            Route("/sessions", partial(self.show_all, auth), secured=True, answers={200: (AllSessions, HTML)}),
            Route("/sessions", partial(self.revoke_others, auth), methods=["DELETE"], secured=True, answers=DONE),
            Route(
                "/sessions/{id:uuid}", partial(self.revoke_one, auth), methods=["DELETE"], secured=True, answers=DONE
            ),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("sessions.expired", timedelta(hours=1), partial(self._sweep, auth))]

    async def _sweep(self, auth: Auth) -> bool:
        past = self.table.c.expires_at <= auth.clock()
        return await auth.db.transaction(partial(delete_batch, table=self.table, ended=past))

    # Carrying

    @hookimpl
    async def identity_from_cookie(self, auth: Auth, request: HTTPConnection) -> Identity | None:
        secret = auth.cookie(request, COOKIE)
        if secret is None:
            return None
        found = await self.lookup.find(auth.db, auth.tokens.digests(PURPOSE, secret))
        if found is None:
            raise InvalidToken
        identity, unused, idle = found
        if unused >= idle:
            raise InvalidToken
        self.last_use.note(identity.session_id, unused, auth.clock, idle)
        return identity

    @hookimpl
    async def identity_of_session(self, auth: Auth, tx: AsyncConnection, session_id: uuid.UUID) -> Identity | None:
        found = await tx.execute(select(self.table).where(self.table.c.id == session_id))
        row = next((dict(row) for row in found.mappings()), None)
        user = None if row is None else await auth.users.by_id(row["user_id"], tx)
        if row is None or user is None or user.status != "active" or not _is_alive(row, auth.clock()):
            return None
        return _identity(user, *(row[name] for name in _OF_IDENTITY))

    @hookimpl
    async def issue_credential(self, auth: Auth, tx: AsyncConnection, request: Request, login: Login) -> Issued:
        remember = await self._end_replaced(tx, login) or login.remember
        await self._end_overwritten(auth, tx, request)
        secret = auth.tokens.mint(PURPOSE)
        now, user_agent = auth.clock(), request.headers.get("user-agent")
        row = self._row(replace(login, remember=remember), now, secret.digest, user_agent, auth.client(request))
        await tx.execute(insert(self.table).values(row))
        return Issued(
            cookies=(_cookie(secret, row, now),),
            body={"session": _public(row, current=row["id"])},
            session_id=row["id"],
        )

    async def _end_replaced(self, tx: AsyncConnection, login: Login) -> bool:
        """End the session that this sign-in replaces, and say whether it was one to remember."""
        if login.replaces is None:
            return False
        mine = self._mine(login.user, login.replaces)
        remembered = await tx.scalar(select(self.table.c.remembered).where(mine))
        await tx.execute(delete(self.table).where(mine))
        return bool(remembered)

    async def _end_overwritten(self, auth: Auth, tx: AsyncConnection, request: Request) -> None:
        """End the session whose cookie the new one takes the place of, whoever's it is: nobody could end it any more.

        A route that takes foreign posts does not know it as who asks.
        """
        secret = auth.cookie(request, COOKIE)
        digests = () if secret is None else auth.tokens.digests(PURPOSE, secret)
        if digests:
            await tx.execute(delete(self.table).where(self.table.c.digest.in_(digests)))

    def _row(self, login: Login, now: datetime, digest: bytes, user_agent: str | None, ip: str) -> dict[str, Any]:
        lives = self.settings
        idle = lives.remember_idle if login.remember else lives.idle
        absolute = lives.remember_absolute if login.remember else lives.absolute
        return {
            "id": uuid.uuid4(),
            "user_id": login.user.id,
            "digest": digest,
            "amr": json.dumps(login.amr),
            "assurance": login.assurance,
            "created_at": now,
            "authenticated_at": login.authenticated_at,
            "last_used_at": now,
            "expires_at": now + absolute,
            "idle_seconds": max(1, int(idle.total_seconds())),
            "remembered": login.remember,
            "unfamiliar": login.unfamiliar,
            "user_agent": user_agent and user_agent[:512],
            "ip": ip[:45],
        }

    @hookimpl
    async def renew_session(self, auth: Auth, tx: AsyncConnection, identity: Identity) -> Issued | None:
        assert identity.session_id is not None
        mine = self._mine(identity.user, identity.session_id)
        found = (await tx.execute(select(self.table).where(mine))).mappings().first()
        secret, new, now = auth.tokens.mint(PURPOSE), uuid.uuid4(), auth.clock()
        moved = await tx.execute(update(self.table).where(mine).values(id=new, digest=secret.digest, last_used_at=now))
        if found is None or moved.rowcount != 1:
            return None
        replaced = {"replaces": str(identity.session_id)}
        await auth.emit(tx, SessionRenewed(user_id=identity.user.id, session_id=new, metadata=replaced))
        return Issued(cookies=(_cookie(secret, dict(found), now),), session_id=new)

    @hookimpl
    async def revoke_session(self, tx: AsyncConnection, identity: Identity) -> None:
        if identity.session_id is not None:
            await tx.execute(delete(self.table).where(self._mine(identity.user, identity.session_id)))

    @hookimpl
    async def revoke_credentials(self, tx: AsyncConnection, user: User, keep: uuid.UUID | None) -> None:
        ended = delete(self.table).where(self.table.c.user_id == user.id)
        await tx.execute(ended if keep is None else ended.where(self.table.c.id != keep))

    @hookimpl
    async def record_event(self, tx: AsyncConnection, event: Event) -> None:
        """What was proven before the account had a factor is its full strength no more: such sessions are not fresh."""
        if not isinstance(event, AuthenticatorAdded) or event.metadata["kind"] != "mfa":
            return
        weak = (self.table.c.user_id == event.user_id) & (self.table.c.assurance == "aal1")
        # The session that added it has just shown it.
        others = weak if event.session_id is None else weak & (self.table.c.id != event.session_id)
        await tx.execute(update(self.table).where(others).values(authenticated_at=None))

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        return {"sessions": (await tx.execute(delete(self.table))).rowcount}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> AllSessions:
        return {"sessions": [_public(row, None) for row in await self._rows(auth, user)]}

    # Routes

    async def sign_out(self, auth: Auth, request: Request) -> Response:
        """POST /logout: end the present session; the same answer without one."""
        await auth.read(request, Nothing)
        return await auth.sign_out(request)

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /session: who asks, by whichever credential."""
        user = await current_user(request)
        identity: Identity = request.scope["sigra.identity"]
        row = await self._one(auth, identity)
        answer: WhoAsks = {
            "user": user.public(),
            "session": None if row is None else _public(row, current=identity.session_id),
            "identity": {
                "method": identity.method,
                "scopes": sorted(identity.scopes),
                "amr": list(identity.amr),
                "assurance": identity.assurance,
            },
        }
        return JSONResponse(answer)

    async def show_all(self, auth: Auth, request: Request) -> Response:
        """GET /sessions: the user's live sessions, newest first."""
        await current_user(request)
        answer: AllSessions = {"sessions": await self._live(auth, request.scope["sigra.identity"])}
        return await auth.show(request, "account", answer)

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        identity: Identity | None = request.scope["sigra.identity"]
        if identity is None or identity.session_id is None:
            return None
        sign_out = Part("sign_out", 100, "sessions/sign_out.html")
        if page != "account":
            return [sign_out]
        return [
            sign_out,
            Part("main", 300, "sessions/account.html", {"sessions": await self._live(auth, identity)}),
        ]

    async def _live(self, auth: Auth, identity: Identity) -> list[PublicSession]:
        now, rows = auth.clock(), await self._rows(auth, identity.user)
        return [_public(row, identity.session_id) for row in rows if _is_alive(row, now)]

    async def _rows(self, auth: Auth, user: User) -> list[dict[str, Any]]:
        query = select(self.table).where(self.table.c.user_id == user.id).order_by(self.table.c.created_at.desc())
        async with auth.db.connect() as tx:
            return [dict(row) for row in (await tx.execute(query)).mappings()]

    async def revoke_one(self, auth: Auth, request: Request) -> Response:
        """DELETE /sessions/{id}: end a session; 404 for foreign and absent alike; the present one is a sign-out."""
        user = await current_user(request)
        wanted = request.path_params["id"]
        if wanted == request.scope["sigra.identity"].session_id:
            return await auth.sign_out(request)
        await auth.db.transaction(partial(self._revoke_one, auth, user, wanted))
        return Response(status_code=204)

    async def _revoke_one(self, auth: Auth, user: User, wanted: uuid.UUID, tx: AsyncConnection) -> None:
        ended = await tx.execute(delete(self.table).where(self._mine(user, wanted)))
        if ended.rowcount != 1:
            raise NotFound
        await auth.emit(tx, SessionRevoked(user_id=user.id, metadata={"session": str(wanted)}))

    async def revoke_others(self, auth: Auth, request: Request) -> Response:
        """DELETE /sessions: end every session but the present one."""
        await current_user(request)
        await auth.db.transaction(partial(self._revoke_others, auth, request))
        return Response(status_code=204)

    async def _revoke_others(self, auth: Auth, request: Request, tx: AsyncConnection) -> None:
        # Of a session that has ended nothing would be kept: not the one that has taken its place either.
        user, keep = await auth.present(tx, request), request.scope["sigra.identity"].session_id
        await auth.revoke(tx, user, "sign_out", keep)
        await auth.emit(tx, SessionRevoked(user_id=user.id, metadata={"session": None}))

    async def _one(self, auth: Auth, identity: Identity) -> dict[str, Any] | None:
        if identity.session_id is None:
            return None
        async with auth.db.connect() as tx:
            found = await tx.execute(select(self.table).where(self._mine(identity.user, identity.session_id)))
            row = found.mappings().first()
        if row is None:
            raise Unauthenticated
        return dict(row)

    def _mine(self, user: User, id: uuid.UUID) -> Any:
        return (self.table.c.id == id) & (self.table.c.user_id == user.id)


def _cookie(secret: MintedSecret, row: Mapping[str, Any], now: datetime) -> Cookie:
    """What the browser keeps: as long as the session, or as long as it runs itself."""
    left = int((row["expires_at"] - now).total_seconds())
    return Cookie(COOKIE, secret.text, left if row["remembered"] else None)


def _is_alive(row: Mapping[str, Any], now: datetime) -> bool:
    return bool(now < row["expires_at"] and now < row["last_used_at"] + timedelta(seconds=row["idle_seconds"]))


@lru_cache(maxsize=256)
def _amr(text: str) -> tuple[str, ...]:
    """The methods of a session; there are few different ones, read on every request."""
    return tuple(json.loads(text))


def _identity(user: User, id: uuid.UUID, amr: str, assurance: Assurance, authenticated_at: datetime | None) -> Identity:
    return Identity(user, "session", str(id), _NO_SCOPES, _amr(amr), authenticated_at, assurance, id)


def _found(
    user: User,
    id: uuid.UUID,
    amr: str,
    assurance: Assurance,
    authenticated_at: datetime | None,
    unused: float,
    idle: int,
) -> tuple[Identity, float, int]:
    """Whoever a session stands for, how long it was not used, and when that ends it, in seconds."""
    return _identity(user, id, amr, assurance, authenticated_at), unused, idle


def _public(row: Mapping[str, Any], current: uuid.UUID | None) -> PublicSession:
    return {
        "id": str(row["id"]),
        "created_at": timestamp(row["created_at"]),
        "last_used_at": timestamp(row["last_used_at"]),
        "expires_at": timestamp(row["expires_at"]),
        "user_agent": row["user_agent"],
        "ip": row["ip"],
        "current": row["id"] == current,
        "unfamiliar": row["unfamiliar"],
    }

"""Known browsers: where an account was signed in before, so that what comes from elsewhere is told its owner."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    and_,
    delete,
    exists,
    insert,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request

from sigra.db import Digest, Id, UTCDateTime, user_ref
from sigra.events import Event
from sigra.hookspecs import hookimpl
from sigra.messages import Message
from sigra.models import Attempt, Cookie, Issued, Job, Login, User, timestamp
from sigra.plugins.account import Account
from sigra.plugins.pages import Pages
from sigra.plugins.password_reset import PasswordReset
from sigra.plugins.sessions import SessionRenewed
from sigra.protocols import Auth

COOKIE = "sigra-browser"
PURPOSE = "known_browser"

LONGEST = timedelta(days=400)
"""Browsers keep no cookie for longer (RFC 6265bis, section 5.5)."""

MOST = 20
"""Browsers that are known to one account at a time; the one that was not seen for longest makes room."""

PREFIXES: Mapping[int, int] = {4: 24, 6: 48}
"""Bits of a network: what one place gets of its provider, by version of the protocol (RFC 6177, section 2)."""

AGENT_LENGTH = 512
"""What is kept of a `User-Agent`."""

BATCH = 1000
"""Rows that are deleted in one transaction."""


@dataclass(frozen=True, kw_only=True)
class UnfamiliarSignIn(Event):
    """A sign-in from a browser and a network that are both not known to the account, whose owner is told by mail."""

    name: ClassVar[str] = "known_browser.unfamiliar"


class KnownBrowsers:
    """Knows browsers again, by a cookie that alone lets nobody in."""

    name = "known_browsers"
    api = 1
    events = (UnfamiliarSignIn,)

    class Settings(BaseModel):
        """How long a browser is known.

        Args:
            lifetime: Since the last sign-in there; at least a day, at most 400 days.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        lifetime: timedelta = Field(default=timedelta(days=180), ge=timedelta(days=1), le=LONGEST)

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.users = metadata.tables["sigra_users"]
        self.table = Table(
            "sigra_known_browsers",
            metadata,
            Column("id", Id(), primary_key=True),
            user_ref(),
            Column("digest", Digest(), nullable=False, index=True),
            Column("network", String(49)),
            Column("session_id", Id()),
            Column("created_at", UTCDateTime, nullable=False),
            Column("seen_at", UTCDateTime, nullable=False),
            Column("ended_at", UTCDateTime),
            UniqueConstraint("user_id", "digest", name="uq_sigra_known_browsers_user"),
        )
        return [self.table]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("known_browsers.ended", timedelta(hours=1), partial(self._sweep, auth))]

    # Tries

    @hookimpl
    async def subject_for_attempt(self, auth: Auth, attempt: Attempt) -> str | None:
        # Whether there is a statement depends on the cookie alone, and it is the same for every address.
        digests = () if attempt.request is None else self._digests(auth, attempt.request)
        if not digests:
            return None
        query = (
            select(self.table.c.id)
            .join(self.users, self.users.c.id == self.table.c.user_id)
            .where(
                self.table.c.digest.in_(digests),
                self.users.c.email_canonical == attempt.email,
                self._is_live(auth),
            )
        )
        async with auth.db.connect() as tx:
            id = await tx.scalar(query)
        return None if id is None else f"browser {id}"

    # Sign-ins

    @hookimpl
    async def is_unfamiliar(self, auth: Auth, tx: AsyncConnection, request: Request, login: Login) -> bool:
        rows, digests, network = await self._rows(tx, login.user), self._digests(auth, request), _network(auth, request)
        live = [row for row in rows if self._lives(auth, row)]
        known = any(row["digest"] in digests or (network and row["network"] == network) for row in live)
        # What has ended tells that this is not the very first sign-in, of which there is nobody to warn.
        return bool(rows) and not known

    @hookimpl
    async def cookies_for_login(
        self, auth: Auth, tx: AsyncConnection, request: Request, login: Login, issued: Issued
    ) -> Sequence[Cookie]:
        now = auth.clock()
        values = {"network": _network(auth, request), "session_id": issued.session_id, "seen_at": now}
        secret = await self._known(auth, tx, request, login.user, values)
        if secret is None:
            secret = await self._remember(auth, tx, request, login.user, {**values, "created_at": now})
        if login.unfamiliar:
            await self._tell(auth, tx, request, login.user)
        return [Cookie(COOKIE, secret, int(self.settings.lifetime.total_seconds()))]

    async def _known(
        self, auth: Auth, tx: AsyncConnection, request: Request, user: User, values: Mapping[str, Any]
    ) -> str | None:
        """The browser's secret, seen again; None when it has none, or one that has ended: no sign-in revives it."""
        digests = self._digests(auth, request)
        if not digests:
            return None
        its = and_(self.table.c.user_id == user.id, self.table.c.digest.in_(digests), self._is_live(auth))
        # Stored anew by the first key of the ring: it outlives the older ones.
        seen = await tx.execute(update(self.table).where(its).values(**values, digest=digests[0]))
        return auth.cookie(request, COOKIE) if seen.rowcount else None

    async def _remember(
        self, auth: Auth, tx: AsyncConnection, request: Request, user: User, values: Mapping[str, Any]
    ) -> str:
        """A new secret, by which the browser stays known to everybody else who uses it.

        Who was there before may have kept the old one, or put it there: it is not to become known to this account.
        """
        secret = auth.tokens.mint(PURPOSE)
        others = and_(self.table.c.digest.in_(self._digests(auth, request)), self._is_live(auth))
        await tx.execute(update(self.table).where(others).values(digest=secret.digest))
        await self._make_room(auth, tx, user)
        row = {**values, "id": uuid.uuid4(), "user_id": user.id, "digest": secret.digest}
        await tx.execute(insert(self.table).values(row))
        return secret.text

    async def _make_room(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        """Whichever was not seen for longest goes."""
        live = [row for row in await self._rows(tx, user) if self._lives(auth, row)]
        live.sort(key=lambda row: (row["seen_at"], row["id"]), reverse=True)
        await tx.execute(delete(self.table).where(self.table.c.id.in_([row["id"] for row in live[MOST - 1 :]])))

    async def _tell(self, auth: Auth, tx: AsyncConnection, request: Request, user: User) -> None:
        """Nobody can switch this off who is signed in: it may be an intruder."""
        client, agent = auth.client(request), request.headers.get("user-agent", "")[:AGENT_LENGTH]
        await auth.emit(tx, UnfamiliarSignIn(user_id=user.id, actor_id=user.id))
        if user.email is not None:
            context = {"at": f"{auth.clock():%Y-%m-%d %H:%M} UTC", "client": client, "user_agent": agent}
            await auth.send(tx, Message("new_sign_in", user.email, user, {**context, **_pages(auth)}))

    # What is stored

    def _digests(self, auth: Auth, request: HTTPConnection) -> Sequence[bytes]:
        """What the secret of the request may be stored as; empty without one."""
        return auth.tokens.digests(PURPOSE, auth.cookie(request, COOKIE) or "")

    async def _rows(self, tx: AsyncConnection, user: User) -> Sequence[RowMapping]:
        return (await tx.execute(select(self.table).where(self.table.c.user_id == user.id))).mappings().all()

    def _lives(self, auth: Auth, row: RowMapping) -> bool:
        return row["ended_at"] is None and bool(row["seen_at"] > auth.clock() - self.settings.lifetime)

    def _is_live(self, auth: Auth) -> ColumnElement[bool]:
        return and_(self.table.c.ended_at.is_(None), self.table.c.seen_at > auth.clock() - self.settings.lifetime)

    @hookimpl
    async def record_event(self, tx: AsyncConnection, event: Event) -> None:
        if isinstance(event, SessionRenewed):
            its = self.table.c.session_id == uuid.UUID(event.metadata["replaces"])
            moved = update(self.table).where(self.table.c.user_id == event.user_id, its)
            await tx.execute(moved.values(session_id=event.session_id))

    @hookimpl
    async def revoke_credentials(self, auth: Auth, tx: AsyncConnection, user: User, keep: uuid.UUID | None) -> None:
        """The browser of the session that is kept stays known."""
        ended = update(self.table).where(self.table.c.user_id == user.id, self.table.c.ended_at.is_(None))
        if keep is not None:
            ended = ended.where(or_(self.table.c.session_id.is_(None), self.table.c.session_id != keep))
        await tx.execute(ended.values(ended_at=auth.clock()))

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.erase_user(tx, user)

    @hookimpl
    async def end_restored(self, auth: Auth, tx: AsyncConnection) -> Mapping[str, int]:
        ended = update(self.table).where(self.table.c.ended_at.is_(None)).values(ended_at=auth.clock())
        return {"known browsers": (await tx.execute(ended)).rowcount}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any]:
        async with auth.db.connect() as tx:
            rows = await self._rows(tx, user)
        return {"known_browsers": [_exported(row) for row in rows]}

    async def _sweep(self, auth: Auth) -> bool:
        return await auth.db.transaction(partial(self._swept, auth))

    async def _swept(self, auth: Auth, tx: AsyncConnection) -> bool:
        """Delete a batch of what has ended; the last of an account stays, or its next sign-in would seem its first."""
        later, over = self.table.alias(), not_(self._is_live(auth))
        newer = or_(
            later.c.seen_at > self.table.c.seen_at,
            and_(later.c.seen_at == self.table.c.seen_at, later.c.id > self.table.c.id),
        )
        followed = exists().where(later.c.user_id == self.table.c.user_id, newer)
        ids = list(await tx.scalars(select(self.table.c.id).where(over, followed).limit(BATCH)))
        await tx.execute(delete(self.table).where(self.table.c.id.in_(ids), over))
        return len(ids) == BATCH


def _network(auth: Auth, request: HTTPConnection) -> str | None:
    """The network of a client; None when there is no telling."""
    try:
        address = ip_address(auth.client(request))
        return str(ip_network((address, PREFIXES[address.version]), strict=False))
    except ValueError:
        return None


def _pages(auth: Auth) -> Mapping[str, str | None]:
    """Where something can be done about it."""
    root = f"{auth.settings.base_url}{auth.settings.mount_path}"
    reset, account = (auth.has(Pages) and auth.has(one) for one in (PasswordReset, Account))
    return {
        "forgot": f"{root}/password/forgot" if reset else None,
        "sessions": f"{root}/account#sessions" if account else None,
    }


def _exported(row: RowMapping) -> Mapping[str, Any]:
    times = {name: row[name] and timestamp(row[name]) for name in ("created_at", "seen_at", "ended_at")}
    return {"network": row["network"], **times}

"""How an account ends: closed at once, erased when its grace is over, opened again by the mailed link until then."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Column, MetaData, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from sigra.answers import DONE, HTML, Timestamp
from sigra.db import UTCDateTime, user_ref
from sigra.errors import AccountDisabled, InvalidToken, SigraError
from sigra.events import Action, Event
from sigra.guards import requires
from sigra.hookspecs import erase_user, render_page
from sigra.http.routing import Route
from sigra.messages import Message, Mint
from sigra.models import HeldToken, Job, User, timestamp
from sigra.protocols import Auth

_log = logging.getLogger("sigra")

PURPOSE = "account_deletion"
"""Of the token that opens the account again."""

PAGE, CANCEL = "account/delete/cancel", "account_delete_cancel"
"""Where that token is taken: the path, and the name of its route."""

BATCH = 100
"""Accounts that are erased in one run; each in a transaction of its own."""

LATER = timedelta(days=1)
"""When an account is tried again that could not be erased, or must not be now."""


class Nothing(BaseModel):
    """A body without members of its own."""


class MailedToken(BaseModel):
    """The body of a cancellation."""

    token: Annotated[str, Field(max_length=512, repr=False)]


class Closing(TypedDict):
    """The account is closed; until `erase_at` the mailed link opens it again."""

    status: Literal["closing"]
    erase_at: Timestamp


@dataclass(frozen=True, kw_only=True)
class CloseAccount(Action):
    """A user has the account deleted; it is closed first."""

    name: ClassVar[str] = "close_account"


@dataclass(frozen=True, kw_only=True)
class ReopenAccount(Action):
    """Whoever reads the account's mailbox opens it again."""

    name: ClassVar[str] = "reopen_account"


@dataclass(frozen=True, kw_only=True)
class EraseAccount(Action):
    """A closed account whose grace is over is erased; refused, it is asked about again a day later."""

    name: ClassVar[str] = "erase_account"


@dataclass(frozen=True, kw_only=True)
class DeletionScheduled(Event):
    """An account was closed by its user; `metadata` says when it will be erased (`erase_at`)."""

    name: ClassVar[str] = "account.deletion_scheduled"


@dataclass(frozen=True, kw_only=True)
class DeletionCancelled(Event):
    """A closed account was opened again; what was revoked stays revoked."""

    name: ClassVar[str] = "account.deletion_cancelled"


@dataclass(frozen=True, kw_only=True)
class AccountDeleted(Event):
    """An account is gone; `metadata` says how (`erasure`): `erase`, or `anonymise` when its row stays."""

    name: ClassVar[str] = "account.deleted"


class Deletions:
    """Closes accounts, opens them again, and erases them.

    Args:
        grace: How long an account stays closed before it is erased.
        erasure: Whether its row goes too, or stays and says nothing of anybody.
    """

    def __init__(self, grace: timedelta, erasure: Literal["erase", "anonymise"]) -> None:
        self._grace, self._erasure = grace, erasure

    def tables(self, metadata: MetaData) -> Sequence[Table]:
        self._table = Table(
            "sigra_account_deletions",
            metadata,
            user_ref(primary_key=True),
            Column("requested_at", UTCDateTime, nullable=False),
            Column("erase_at", UTCDateTime, nullable=False, index=True),
        )
        return [self._table]

    def routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route(
                "/account/delete",
                partial(self.close, auth),
                methods=["POST"],
                secured=True,
                body=Nothing,
                answers={202: Closing, 303: None},
            ),
            Route(f"/{PAGE}", partial(self.show, auth), name=CANCEL, answers={200: HTML}),
            Route(f"/{PAGE}", partial(self.cancel, auth), methods=["POST"], body=MailedToken, answers=DONE),
        ]

    def jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("account.erasure", timedelta(hours=1), partial(self.erase_due, auth))]

    # Closing

    async def close(self, auth: Auth, request: Request) -> Response:
        """POST /account/delete: close the account, and erase it when the grace is over. Needs a fresh sign-in."""
        await requires(fresh=True)(request)
        await auth.read(request, Nothing)
        erase_at = auth.clock() + self._grace
        ended = await auth.sign_out(request, partial(self._close, auth, request, erase_at))
        if ended.status_code != 204:
            return ended
        answer: Closing = {"status": "closing", "erase_at": timestamp(erase_at)}
        response = JSONResponse(answer, 202)
        for cookie in ended.headers.getlist("set-cookie"):
            response.headers.append("set-cookie", cookie)
        return response

    async def _close(self, auth: Auth, request: Request, erase_at: datetime, tx: AsyncConnection, user: User) -> None:
        await auth.act(tx, CloseAccount(user=user, request=request))
        await self.forget(auth, tx, user)
        row = {"user_id": user.id, "requested_at": auth.clock(), "erase_at": erase_at}
        await tx.execute(insert(self._table).values(row))
        closing = await auth.users.set_status(tx, user, "closing")
        await auth.revoke(tx, closing, "account_closed")
        await auth.emit(tx, DeletionScheduled(user_id=user.id, metadata={"erase_at": timestamp(erase_at)}))
        await self._tell(auth, tx, closing, erase_at)

    async def _tell(self, auth: Auth, tx: AsyncConnection, closing: User, erase_at: datetime) -> None:
        if closing.email is not None:
            token = Mint(PURPOSE, page=CANCEL, lifetime=self._grace)
            context = {"day": erase_at.date().isoformat()}
            await auth.send(tx, Message("deletion_scheduled", closing.email, closing, context, token))

    async def begin_again(self, auth: Auth, tx: AsyncConnection) -> int:
        """Give all who wait the whole grace and a new link: whoever had cancelled, in the time that is lost, can again.

        Nobody waits longer for what they asked for than twice the grace, and nobody is erased who had thought better.
        """
        erase_at, waiting = auth.clock() + self._grace, list(await tx.scalars(select(self._table.c.user_id)))
        await tx.execute(update(self._table).values(erase_at=erase_at))
        for user_id in waiting:
            user = await auth.users.by_id(user_id, tx)
            if user is not None and user.status == "closing":
                await self._tell(auth, tx, user, erase_at)
        return len(waiting)

    # Opening again

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /account/delete/cancel: the page that takes the token of the mailed link; opening it does nothing."""
        shown = await auth.first(render_page, request=request, page=PAGE, context={"error": None}, status=200)
        assert shown is not None
        return shown

    async def cancel(self, auth: Auth, request: Request) -> Response:
        """POST /account/delete/cancel: open the account again; signs nobody in."""
        body = await auth.read(request, MailedToken)
        async with auth.attempt(request, method=PURPOSE, guessable=False), auth.db.connect() as tx:
            held = await auth.tokens.find(tx, PURPOSE, body.token)
        if held is None:
            raise InvalidToken
        await auth.db.transaction(partial(self._cancel, auth, request, held))
        return Response(status_code=204)

    async def _cancel(self, auth: Auth, request: Request, held: HeldToken, tx: AsyncConnection) -> None:
        user = None if held.user_id is None else await auth.users.lock(tx, held.user_id)
        if user is not None and user.status == "disabled":
            raise AccountDisabled
        if user is None or user.status != "closing" or not await auth.tokens.take(tx, held):
            raise InvalidToken
        await auth.act(tx, ReopenAccount(user=user, request=request))
        await self.forget(auth, tx, user)
        await auth.users.set_status(tx, user, "active")
        await auth.emit(tx, DeletionCancelled(user_id=user.id))

    async def forget(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        """Nothing waits any more, and no older link opens what is closed later."""
        await tx.execute(delete(self._table).where(self._table.c.user_id == user.id))
        await auth.tokens.end(tx, PURPOSE, user=user)

    # Erasing

    async def erase_due(self, auth: Auth) -> bool:
        """Erase a batch of those whose grace is over; one that cannot be erased stays whole and waits for tomorrow."""
        due = select(self._table.c.user_id).where(self._table.c.erase_at <= auth.clock())
        async with auth.db.connect() as tx:
            found = list(await tx.scalars(due.order_by(self._table.c.erase_at).limit(BATCH)))
        for user_id in found:
            try:
                await auth.db.transaction(partial(self._erase, auth, user_id))
            except (SigraError, IntegrityError) as error:
                _log.error("account %s is not erased: %s", user_id, type(error).__name__)
                await auth.db.transaction(partial(self._postpone, auth, user_id))
        return len(found) == BATCH

    async def _erase(self, auth: Auth, user_id: uuid.UUID, tx: AsyncConnection) -> None:
        user = await auth.users.lock(tx, user_id)
        mine = (self._table.c.user_id == user_id) & (self._table.c.erase_at <= auth.clock())
        if user is None or (await tx.execute(select(self._table.c.user_id).where(mine))).first() is None:
            return
        if user.status == "active":  # opened again by an operator
            await self.forget(auth, tx, user)
            return
        if user.status == "disabled":  # the operator's word holds, and the user's waits
            await self._postpone(auth, user_id, tx)
            return
        await auth.act(tx, EraseAccount(user=user))
        await auth.each(erase_user, tx=tx, user=user)
        await (auth.users.anonymise if self._erasure == "anonymise" else auth.users.delete)(tx, user)
        await auth.emit(tx, AccountDeleted(user_id=user.id, metadata={"erasure": self._erasure}))
        if user.email is not None:
            # Nobody's, or it would go with the account.
            await auth.send(tx, Message("account_deleted", user.email, languages=user.locale))

    async def _postpone(self, auth: Auth, user_id: uuid.UUID, tx: AsyncConnection) -> None:
        later = auth.clock() + LATER
        await tx.execute(update(self._table).where(self._table.c.user_id == user_id).values(erase_at=later))

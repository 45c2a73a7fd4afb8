"""The plugin: a change waits in one row, and only while both addresses and the account's state are as they were."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger, Column, MetaData, RowMapping, String, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sigra.addresses import MAXIMUM_LENGTH, typed_email
from sigra.answers import DONE, HTML, Problem
from sigra.db import Id, UTCDateTime, delete_batch, user_ref
from sigra.errors import FieldError, InvalidToken, NotFound, ValidationFailed
from sigra.guards import confirmation, current_user, requires
from sigra.hookspecs import hookimpl, render_page
from sigra.http.routing import Route
from sigra.messages import MailRequest, Message
from sigra.models import HeldToken, Identity, Job, Part, User, timestamp
from sigra.plugins.email_change.shapes import (
    CANCEL,
    CONFIRM,
    ChangeEmail,
    EmailChangeCancelled,
    EmailChanged,
    EmailChangeRequested,
    MailedToken,
    NewAddress,
    Requested,
    hours,
    mint,
)
from sigra.protocols import Auth

PAGES: Mapping[str, str] = MappingProxyType(
    {"email/change/confirm": "email_change/confirm.html", "email/change/cancel": "email_change/cancel.html"}
)


class EmailChange:
    """Changes an account's address; one change waits at a time, bound to both addresses and to the account's state."""

    name = "email_change"
    api = 1
    events = (EmailChangeRequested, EmailChangeCancelled, EmailChanged)

    class Settings(BaseModel):
        """How long a change waits.

        Args:
            lifetime: For its confirmation; at least an hour.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        lifetime: timedelta = Field(default=timedelta(hours=24), ge=timedelta(hours=1))

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_email_changes",
            metadata,
            user_ref(primary_key=True),
            Column("id", Id(), nullable=False),
            Column("new_email", String(MAXIMUM_LENGTH), nullable=False),
            Column("old_email", String(MAXIMUM_LENGTH)),
            Column("security_version", BigInteger, nullable=False),
            Column("created_at", UTCDateTime, nullable=False),
            Column("expires_at", UTCDateTime, nullable=False, index=True),
        )
        return [self.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        confirm, cancel = PAGES
        return [
            Route(
                "/email/change",
                partial(self.request, auth),
                methods=["POST"],
                secured=True,
                body=NewAddress,
                answers={202: Requested, 303: None},
            ),
            Route(
                "/email/change",
                partial(self.withdraw, auth),
                methods=["DELETE"],
                secured=True,
                answers={**DONE, 404: Problem},
            ),
            Route(f"/{confirm}", partial(self.show, auth, confirm), name=CONFIRM, answers={200: HTML}),
            Route(
                f"/{confirm}",
                partial(self.confirm, auth),
                methods=["POST"],
                body=MailedToken,
                answers={**DONE, 409: Problem},
            ),
            Route(f"/{cancel}", partial(self.show, auth, cancel), name=CANCEL, answers={200: HTML}),
            Route(f"/{cancel}", partial(self.cancel, auth), methods=["POST"], body=MailedToken, answers=DONE),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("email_change.expired", timedelta(hours=1), partial(self._sweep, auth))]

    # Asking for it

    async def request(self, auth: Auth, request: Request) -> Response:
        """POST /email/change: ask for another address; 202 whether or not it has an account. Needs a fresh sign-in."""
        user = await requires(fresh=True)(request)
        body = await auth.read(request, NewAddress)
        address = _address(body.new_email, user)
        await auth.limit(request, "mail", recipient=address)
        await auth.db.transaction(partial(self._request, auth, request, address))
        answer: Requested = {"status": "confirmation_sent"}
        return JSONResponse(answer, 202)

    async def _request(self, auth: Auth, request: Request, address: str, tx: AsyncConnection) -> None:
        locked = await auth.present(tx, request)
        await auth.act(tx, ChangeEmail(user=locked, request=request))
        await self._end(auth, tx, locked)
        change, now, lifetime = uuid.uuid4(), auth.clock(), self.settings.lifetime
        values = {
            "user_id": locked.id,
            "id": change,
            "new_email": address,
            "old_email": locked.email,
            "security_version": locked.security_version,
            "created_at": now,
            "expires_at": now + lifetime,
        }
        await tx.execute(insert(self.table).values(values))
        await auth.emit(tx, EmailChangeRequested(user_id=locked.id, metadata={"change": str(change)}))
        if locked.email is not None:
            token = mint(CANCEL, change, lifetime)
            await auth.send(tx, Message("email_change_notice", locked.email, locked, hours(lifetime), token))
        # Whether the new address is free is looked up later: here, the work would tell.
        await auth.request_mail(tx, MailRequest(self.name, address, {"user": str(locked.id), "change": str(change)}))

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose != self.name:
            return
        user = await auth.users.by_id(uuid.UUID(request.context["user"]), tx)
        row = None if user is None else await self._pending(auth, tx, user)
        if user is None or row is None or str(row["id"]) != request.context["change"]:
            return
        other = await auth.users.by_email(row["new_email"], tx)
        if other is not None and other.id != user.id:
            return
        lifetime = row["expires_at"] - auth.clock()
        token = mint(CONFIRM, row["id"], lifetime)
        context = hours(self.settings.lifetime)
        await auth.send(
            tx, Message("confirm_new_email", row["new_email"], user, context, token, languages=request.languages)
        )

    # Doing it, or not

    async def confirm(self, auth: Auth, request: Request) -> Response:
        """POST /email/change/confirm: the account gets the new address. Signs nobody in, and ends other sessions."""
        held = await self._held(auth, request, CONFIRM)
        identity: Identity | None = request.scope["sigra.identity"]
        if identity is not None and identity.user.id == held.user_id:
            change = partial(self._confirm, auth, request, held, identity.session_id)
            return await auth.renew(request, change)
        await auth.db.transaction(partial(self._confirm_locked, auth, request, held))
        return Response(status_code=204)

    async def _confirm_locked(self, auth: Auth, request: Request, held: HeldToken, tx: AsyncConnection) -> None:
        """In a browser that is not signed in to the account."""
        user = await _locked(auth, tx, held)
        await self._confirm(auth, request, held, None, tx, user)

    async def _confirm(
        self, auth: Auth, request: Request, held: HeldToken, keep: uuid.UUID | None, tx: AsyncConnection, user: User
    ) -> None:
        row = await self._pending(auth, tx, user)
        if row is None or str(row["id"]) != held.payload["change"] or user.status != "active":
            raise InvalidToken
        if not await auth.tokens.take(tx, held):
            raise InvalidToken
        await auth.act(tx, ChangeEmail(user=user, request=request))
        moved = await auth.users.move(tx, user, row["new_email"])
        # What was mailed to the old address, a link to reset the password say, is bound to the state that ends here.
        await auth.revoke(tx, user, "email_changed", keep)
        await self._end(auth, tx, user)
        await auth.emit(tx, EmailChanged(user_id=user.id, metadata={"change": str(row["id"])}))
        for address in filter(None, (user.email, moved.email)):
            await auth.send(tx, Message("email_changed", address, moved, {"is_old": address == user.email}))

    async def cancel(self, auth: Auth, request: Request) -> Response:
        """POST /email/change/cancel: whoever reads the old address ends the change."""
        held = await self._held(auth, request, CANCEL)
        await auth.db.transaction(partial(self._cancel, auth, held))
        return Response(status_code=204)

    async def _cancel(self, auth: Auth, held: HeldToken, tx: AsyncConnection) -> None:
        user = await _locked(auth, tx, held)
        row = await self._pending(auth, tx, user)
        if row is None or str(row["id"]) != held.payload["change"] or not await auth.tokens.take(tx, held):
            raise InvalidToken
        await self._end(auth, tx, user)
        await auth.emit(tx, EmailChangeCancelled(user_id=user.id, metadata={"change": str(row["id"])}))

    async def withdraw(self, auth: Auth, request: Request) -> Response:
        """DELETE /email/change: whoever is signed in ends the change that waits; 404 when none does."""
        user = await current_user(request)
        await auth.db.transaction(partial(self._withdraw, auth, user))
        return Response(status_code=204)

    async def _withdraw(self, auth: Auth, user: User, tx: AsyncConnection) -> None:
        locked = await auth.users.lock(tx, user.id)
        row = None if locked is None else await self._pending(auth, tx, locked)
        if locked is None or row is None:
            raise NotFound
        await self._end(auth, tx, locked)
        await auth.emit(tx, EmailChangeCancelled(user_id=user.id, metadata={"change": str(row["id"])}))

    async def _held(self, auth: Auth, request: Request, purpose: str) -> HeldToken:
        """The token of the request, which is not spent by looking at it."""
        body = await auth.read(request, MailedToken)
        async with auth.attempt(request, method=self.name, guessable=False), auth.db.connect() as tx:
            held = await auth.tokens.find(tx, purpose, body.token)
        if held is None:
            raise InvalidToken
        return held

    # What waits

    async def _pending(self, auth: Auth, tx: AsyncConnection, user: User) -> RowMapping | None:
        """The change that waits, while the account is as it was when it was asked for."""
        query = select(self.table).where(self.table.c.user_id == user.id, self.table.c.expires_at > auth.clock())
        row = (await tx.execute(query)).mappings().first()
        if row is None or row["security_version"] != user.security_version or row["old_email"] != user.email:
            return None
        return row

    async def _end(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        """End the change that waits, and what was mailed for it."""
        await self.erase_user(tx, user)
        for purpose in (CONFIRM, CANCEL):
            await auth.tokens.end(tx, purpose, user=user)

    async def _sweep(self, auth: Auth) -> bool:
        past = self.table.c.expires_at <= auth.clock()
        return await auth.db.transaction(partial(delete_batch, table=self.table, ended=past))

    @hookimpl
    async def forget_authenticators(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        await self._end(auth, tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        return {"changes of address": (await tx.execute(delete(self.table))).rowcount}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any] | None:
        async with auth.db.connect() as tx:
            row = await self._pending(auth, tx, user)
        if row is None:
            return None
        times = {name: timestamp(row[name]) for name in ("created_at", "expires_at")}
        return {"email_change": {"new_email": row["new_email"], **times}}

    # Pages

    async def show(self, auth: Auth, page: str, request: Request) -> Response:
        """GET: the page that takes the token of a mailed link; opening it does nothing."""
        shown = await auth.first(render_page, request=request, page=page, context={"error": None}, status=200)
        assert shown is not None
        return shown

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page not in PAGES:
            return None
        return await auth.render(request, PAGES[page], {"posted": page, **context}, status, page=page)

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page != "account" or user is None:
            return None
        exported = await self.export_user(auth, user) or {}
        context = {"pending": exported.get("email_change"), "confirm": confirmation(request, "email")}
        return [Part("main", 150, "email_change/account.html", context)]


def _address(typed: str, user: User) -> str:
    """The new address, without spaces around it.

    Raises:
        ValidationFailed: It is none, or the account's own.
    """
    try:
        address = typed_email(typed)
    except ValueError as error:
        wrong = FieldError("new_email", "invalid_email", "This is not an e-mail address.")
        raise ValidationFailed([wrong]) from error
    # Another spelling of it is another address to write to, and confirmed like any other.
    if address == user.email:
        raise ValidationFailed([FieldError("new_email", "same_email", "This is the address of your account.")])
    return address


async def _locked(auth: Auth, tx: AsyncConnection, held: HeldToken) -> User:
    user = None if held.user_id is None else await auth.users.lock(tx, held.user_id)
    if user is None:
        raise InvalidToken
    return user

"""The plugin: counts every proof that can be guessed before it is looked at, and has the rest count as wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import (
    Attempt,
    Auth,
    CredentialsRevoked,
    Event,
    InvalidCredentials,
    InvalidToken,
    Job,
    MailRequest,
    Message,
    Mint,
    Route,
    SignedIn,
    SignInChallenged,
    SignInFailed,
    User,
    hookimpl,
    hookspecs,
    timestamp,
)
from sigra.answers import DONE, HTML
from sigra_lockout.counting import Rule
from sigra_lockout.locks import Locks, key
from sigra_lockout.shapes import AccountLocked, AccountUnlocked, MailedToken, Options

PURPOSE = "lockout"
"""Of the mail, of the token in it, and the name of the route that takes it."""

PAGE = "unlock"

NEW_PASSWORD = ("password_reset", "password_changed", "compromised")
"""Reasons of `CredentialsRevoked` for which the guesses so far were guesses at something else."""


class Lockout:
    """Locks an account for a while after wrong proofs, and never keeps its owner out."""

    name = "lockout"
    api = 1
    events = (AccountLocked, AccountUnlocked)
    Settings = Options

    def __init__(self, **settings: Any) -> None:
        self.settings = Options(**settings)
        self.rule = Rule(self.settings.failures, self.settings.first, self.settings.longest)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.locks = Locks(metadata)
        return [self.locks.table]

    @hookimpl
    def register_templates(self) -> Sequence[Path]:
        return [Path(__file__).parent / "templates"]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        take = partial(self.unlock, auth)
        return [
            Route(f"/{PAGE}", partial(self.show, auth), name=PURPOSE, answers={200: HTML}),
            Route(f"/{PAGE}", take, methods=["POST"], body=MailedToken, answers=DONE),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("lockout.forgotten", timedelta(hours=1), partial(self._sweep, auth))]

    async def _sweep(self, auth: Auth) -> bool:
        return await auth.db.transaction(partial(self.locks.sweep, now=auth.clock()))

    # Counting

    @hookimpl
    async def before_attempt(self, auth: Auth, attempt: Attempt) -> None:
        if _counts(attempt) and await auth.db.transaction(partial(self.locks.count, auth, attempt, self.rule)):
            raise InvalidCredentials

    @hookimpl
    async def record_event(self, auth: Auth, tx: AsyncConnection, event: Event) -> None:
        if isinstance(event, SignInFailed):
            for attempt in filter(_counts, event.attempts):
                await self._tell(auth, attempt, tx)
        elif isinstance(event, SignInChallenged):
            # A right password is no guess; the codes after it are, and a sign-in alone forgets them.
            for attempt in filter(_counts, event.attempts):
                await self.locks.take_back(auth, attempt, self.rule, tx)
        elif isinstance(event, SignedIn):
            # A mailed link proves the mailbox, and leaves the guesses at the password counted.
            for attempt in filter(_counts, event.attempts):
                await self.locks.reset(auth, attempt, tx)
        elif isinstance(event, CredentialsRevoked) and event.metadata["reason"] in NEW_PASSWORD:
            await self._forget(auth, event, tx)

    async def _tell(self, auth: Auth, attempt: Attempt, tx: AsyncConnection) -> None:
        """Say once that a lock has begun; the same rows for an address that has no account."""
        until = await self.locks.tell(auth, attempt, tx)
        if until is None:
            return
        user_id = attempt.user.id if attempt.user else None
        metadata = {"email": attempt.email, "until": timestamp(until)}
        await auth.emit(tx, AccountLocked(user_id=user_id, outcome="failure", metadata=metadata))
        if attempt.email is not None:
            context = {"lock": key(auth, attempt).hex(), "until": until.isoformat()}
            await auth.request_mail(tx, MailRequest(PURPOSE, attempt.email, context))

    async def _forget(self, auth: Auth, event: Event, tx: AsyncConnection) -> None:
        user = None if event.user_id is None else await auth.users.by_id(event.user_id, tx)
        if user is not None:
            await self.locks.forget(auth, tx, user)

    # The mail and its link

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose != PURPOSE:
            return
        user = await auth.users.by_email(request.address, tx)
        until = datetime.fromisoformat(request.context["until"])
        left = until - auth.clock()
        # Whoever was right meanwhile, or has waited, need not be told.
        still = await self.locks.until(tx, bytes.fromhex(request.context["lock"])) == until and left > timedelta()
        if user is None or user.status != "active" or user.email is None or not still:
            return
        mint = Mint(PURPOSE, PURPOSE, left, request.context, subject=request.context["lock"])
        context = {"minutes": -(-left // timedelta(minutes=1))}
        # Not in the languages of the request, which are those of whoever guessed.
        await auth.send(tx, Message("account_locked", user.email, user, context, mint))

    async def unlock(self, auth: Auth, request: Request) -> Response:
        """POST /unlock: end a lock by the token of its mail; signs nobody in."""
        body = await auth.read(request, MailedToken)
        async with auth.attempt(request, method=PURPOSE, guessable=False):
            await auth.db.transaction(partial(self._unlock, auth, body.token))
        return Response(status_code=204)

    async def _unlock(self, auth: Auth, token: str, tx: AsyncConnection) -> None:
        held = await auth.tokens.find(tx, PURPOSE, token)
        if held is None or not await auth.tokens.take(tx, held):
            raise InvalidToken
        id, until = bytes.fromhex(held.payload["lock"]), datetime.fromisoformat(held.payload["until"])
        if not await self.locks.end(tx, id, until):
            raise InvalidToken
        await auth.emit(tx, AccountUnlocked(user_id=held.user_id, metadata={"by": "link"}))

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /unlock: the page of the mailed link; opening it does nothing."""
        shown = await auth.first(hookspecs.render_page, request=request, page=PAGE, context={"error": None}, status=200)
        assert shown is not None
        return shown

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page != PAGE:
            return None
        return await auth.render(request, "lockout/unlock.html", {"posted": page, **context}, status, page=page)

    # The administrator

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        users = cli.commands["users"]
        assert isinstance(users, click.Group)

        @users.command("unlock")
        @click.argument("email")
        async def unlock(email: str) -> None:
            """End the locks of an account, of its address and of the browsers that it knows."""
            ended = await auth.db.transaction(partial(self._unlock_by_hand, auth, email))
            click.echo(f"Unlocked {email}." if ended else f"{email} is not locked.")

    async def _unlock_by_hand(self, auth: Auth, email: str, tx: AsyncConnection) -> bool:
        user = await auth.users.by_email(email, tx)
        if user is None:
            raise click.ClickException(f"There is no account of {email}.")
        if not await self.locks.forget(auth, tx, user):
            return False
        await auth.emit(tx, AccountUnlocked(user_id=user.id, metadata={"by": "administrator"}))
        return True

    # The user's data

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any] | None:
        async with auth.db.connect() as tx:
            rows = await self.locks.of(auth, tx, user)
        held = [{"failures": tries, "locked_until": until and timestamp(until)} for tries, until in rows]
        return {"lockout": held} if held else None

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        return {"counts of tries": await self.locks.clear(tx)}

    @hookimpl
    async def erase_user(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        await self.locks.forget(auth, tx, user)


def _counts(attempt: Attempt) -> bool:
    """Whether it is a guess at somebody's account: a mailed link or a passkey is none, and stays open to the owner."""
    return attempt.guessable and attempt.subject is not None

"""Passwords: sign in with an address and a password, in equal work whether or not the account exists."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import click
from pydantic import BaseModel, Field
from sqlalchemy import Column, MetaData, Select, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import hookspecs
from sigra.answers import DONE, SIGN_IN, Problem
from sigra.db import UTCDateTime, user_ref
from sigra.errors import Conflict, InvalidCredentials, LoginExpired, WeakPassword
from sigra.events import Action, Event
from sigra.guards import confirmation, current_user, requires
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.messages import Message
from sigra.models import FIRST_AUTHENTICATOR, Attempt, Authenticator, Challenge, Login, Part, User, timestamp
from sigra.plugins.api_keys import APIKeys
from sigra.plugins.password import hookspecs as own_hookspecs
from sigra.plugins.password.breaches import Breaches
from sigra.plugins.password.credentials import Credentials
from sigra.plugins.password.policy import Policy
from sigra.protocols import Auth

HAS_ONE = "The account has a password already. Change it instead."


class NewPassword(BaseModel):
    """The body of a first password; which ones are taken is asked of `check_password`."""

    new_password: Annotated[str, Field(max_length=1024, repr=False)]


class Change(NewPassword):
    """The body of a change."""

    current_password: Annotated[str, Field(max_length=1024, repr=False)]
    revoke_api_keys: bool = False


@dataclass(frozen=True, kw_only=True)
class ChangePassword(Action):
    """A user changes the password, having given the present one."""

    name: ClassVar[str] = "change_password"


@dataclass(frozen=True, kw_only=True)
class SetPassword(Action):
    """A user sets the account's first password."""

    name: ClassVar[str] = "set_password"


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """A password took the place of another; `metadata` has whether API keys ended too (`api_keys`)."""

    name: ClassVar[str] = "password.changed"


@dataclass(frozen=True, kw_only=True)
class PasswordSet(Event):
    """An account got its first password."""

    name: ClassVar[str] = "password.set"


class Password:
    """Signs in by password."""

    name = "password"
    api = 1
    events = (PasswordChanged, PasswordSet)
    hookspecs = own_hookspecs

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_passwords",
            metadata,
            user_ref(primary_key=True),
            Column("hash", String(255), nullable=False),
            Column("updated_at", UTCDateTime, nullable=False),
        )
        return [self.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        options = auth.settings.password
        self._policy = Policy(options.minimum_length, urlsplit(auth.settings.base_url).hostname or "")
        closed = options.breach_failure == "closed"
        self._breaches = None if options.breach_url is None else Breaches(options.breach_url, closed)
        return [
            Route("/login", partial(self.sign_in, auth), methods=["POST"], body=Credentials, answers=SIGN_IN),
            Route(
                "/password/change",
                partial(self.change, auth),
                methods=["POST"],
                secured=True,
                body=Change,
                answers=DONE,
            ),
            Route(
                "/password/set",
                partial(self.set_first, auth),
                methods=["POST"],
                body=NewPassword,
                answers={**SIGN_IN, **DONE, 401: Problem},
            ),
        ]

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        users = cli.commands["users"]
        assert isinstance(users, click.Group)
        users.add_command(self._create_command(auth))
        users.add_command(self._set_command(auth))

    async def sign_in(self, auth: Auth, request: Request) -> Response:
        """POST /login: sign in by address and password; 202 when the account asks for more."""
        body = await auth.read(request, Credentials)
        waiting = None
        try:
            async with auth.attempt(request, method="password", email=body.email) as attempt:
                waiting = await auth.first(own_hookspecs.answer_without_account, request=request, credentials=body)
                user = await self.prove(auth, attempt, await auth.users.by_email(body.email), body.password)
                login = Login(user, ("pwd",), methods=("password",), remember=body.remember, next=body.next)
                return await auth.sign_in(request, login)
        except InvalidCredentials:
            # Counted all the same: it may be a guess at the account.
            if waiting is None:
                raise
            return waiting

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page == "login" and user is None:
            return [Part("main", 100, "password/login.html")]
        if page == "login/challenge" and await self._enrolling(auth, request):
            return [Part("main", 100, "password/enroll.html")]
        if page != "account" or user is None:
            return None
        context = {"has_one": await self.has_one(auth, user), "confirm": confirmation(request, "password")}
        return [Part("main", 200, "password/account.html", context)]

    async def prove(self, auth: Auth, attempt: Attempt, user: User | None, password: str) -> User:
        """The user whose password that is, inside of an attempt and outside of transactions.

        Raises:
            InvalidCredentials: It is not, or the account is absent, not active or without a password.
        """
        # The same statement and the same hash whether or not there is an account that may sign in.
        stored = await self._stored(auth, user.id if user else uuid.uuid4())
        usable = stored if user is not None and user.status == "active" and not attempt.blocked else None
        if not await auth.hasher.verify(usable, password) or user is None or usable is None:
            raise InvalidCredentials
        if auth.hasher.outdated(usable):
            await self._rehash(auth, user, usable, password)
        return user

    @hookimpl
    async def prove_password(self, auth: Auth, attempt: Attempt, user: User, password: str) -> bool:
        await self.prove(auth, attempt, user, password)
        return True

    async def has_one(self, auth: Auth, user: User) -> bool:
        """Whether the account has a password."""
        return await self._stored(auth, user.id) is not None

    async def hash_of(self, auth: Auth, user: User) -> str | None:
        """What the account's password is stored as, for who compares several in equal work."""
        return await self._stored(auth, user.id)

    async def _stored(self, auth: Auth, user_id: uuid.UUID) -> str | None:
        async with auth.db.connect() as tx:
            return (await tx.execute(self._hash_of(user_id))).scalar_one_or_none()

    def _hash_of(self, user_id: uuid.UUID) -> Select[str]:
        return select(self.table.c.hash).where(self.table.c.user_id == user_id)

    # A new password

    @hookimpl
    async def check_password(self, password: str, user: User | None) -> None:
        await self._policy.check(password, user)
        if self._breaches is not None:
            await self._breaches.check(password)

    async def checked_hash(self, auth: Auth, password: str, user: User, field: str = "password") -> str:
        """The hash of a new password that every plugin takes; outside of transactions, since it is slow.

        Raises:
            WeakPassword: A rule refuses it; names `field`.
        """
        try:
            await auth.each(hookspecs.check_password, password=password, user=user)
        except WeakPassword as weak:
            raise weak.at(field) from weak
        return await auth.hasher.hash(password)

    async def change(self, auth: Auth, request: Request) -> Response:
        """POST /password/change: the present password is the proof, so that no fresher sign-in is asked for."""
        user = await current_user(request)
        body = await auth.read(request, Change)
        async with auth.attempt(request, method="password", user=user) as attempt:
            await self.prove(auth, attempt, user, body.current_password)
        hash = await self.checked_hash(auth, body.new_password, user, "new_password")
        return await auth.renew(request, partial(self._change, auth, request, body, hash))

    async def _change(
        self, auth: Auth, request: Request, body: Change, hash: str, tx: AsyncConnection, user: User
    ) -> None:
        await auth.act(tx, ChangePassword(user=user, request=request))
        await self.set(auth, tx, user, hash)
        # `compromised` is no reason at which keys are kept.
        reason = "compromised" if body.revoke_api_keys else "password_changed"
        await auth.revoke(tx, user, reason, request.scope["sigra.identity"].session_id)
        await auth.emit(tx, PasswordChanged(user_id=user.id, metadata={"api_keys": body.revoke_api_keys}))
        await self.tell(auth, tx, user)

    async def set_first(self, auth: Auth, request: Request) -> Response:
        """POST /password/set: the first password of an account; 409 when it has one.

        For who is signed in, or has just proven the address of a new account, whom it signs in.
        """
        login = await self._enrolling(auth, request)
        user = login.user if login else await requires(fresh=True)(request)
        body = await auth.read(request, NewPassword)
        if await self.has_one(auth, user):
            raise Conflict(HAS_ONE)
        hash = await self.checked_hash(auth, body.new_password, user, "new_password")
        change = partial(self._set_first, auth, request, hash)
        if login is None:
            return await auth.renew(request, change)
        return await auth.sign_in(request, login.passed("password", amr="pwd", meets=(FIRST_AUTHENTICATOR,)), change)

    async def _enrolling(self, auth: Auth, request: Request) -> Login | None:
        """The sign-in that waits for a first password, if one does."""
        try:
            login = await auth.pending(request)
        except LoginExpired:
            return None
        return login if login.enrolling else None

    @hookimpl
    async def challenges_for_login(self, login: Login) -> Sequence[Challenge] | None:
        return [Challenge("enrollment", "password", waivable=False)] if login.enrolling else None

    @hookimpl
    async def authenticators_for_user(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator] | None:
        if (await tx.execute(self._hash_of(user.id))).first() is None:
            return None
        return [Authenticator("primary", "password", str(user.id), "Password", alone=True)]

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page != "password/set" or not await self._enrolling(auth, request):
            return None
        given = {"posted": page, **context}
        return await auth.first(
            hookspecs.render_page, request=request, page="login/challenge", context=given, status=status
        )

    async def _set_first(self, auth: Auth, request: Request, hash: str, tx: AsyncConnection, user: User) -> None:
        if (await tx.execute(self._hash_of(user.id))).first() is not None:
            raise Conflict(HAS_ONE)
        await auth.act(tx, SetPassword(user=user, request=request))
        await self.set(auth, tx, user, hash)
        await auth.emit(tx, PasswordSet(user_id=user.id))
        await self.tell(auth, tx, user)

    async def tell(self, auth: Auth, tx: AsyncConnection, user: User) -> None:
        """Tell the account's mailbox that the password is another one, whoever set it."""
        if user.email is not None:
            context = {"api_keys": await _live_keys(auth, tx, user)}
            await auth.send(tx, Message("password_changed", user.email, user, context))

    async def _rehash(self, auth: Auth, user: User, old: str, password: str) -> None:
        """The same password under today's parameters, unless it was changed meanwhile."""
        new = await auth.hasher.hash(password)
        same = (self.table.c.user_id == user.id) & (self.table.c.hash == old)
        statement = update(self.table).where(same).values(hash=new, updated_at=auth.clock())
        await auth.db.transaction(lambda tx: tx.execute(statement))

    async def set(self, auth: Auth, tx: AsyncConnection, user: User, hash: str) -> None:
        """Write a user's password hash; what else must end is the caller's to say."""
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))
        await tx.execute(insert(self.table).values(user_id=user.id, hash=hash, updated_at=auth.clock()))

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.erase_user(tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection, passwords: bool) -> Mapping[str, int] | None:
        return {"passwords": (await tx.execute(delete(self.table))).rowcount} if passwords else None

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any] | None:
        async with auth.db.connect() as tx:
            query = select(self.table.c.updated_at).where(self.table.c.user_id == user.id)
            set_at = (await tx.execute(query)).scalar_one_or_none()
        return None if set_at is None else {"password": {"set_at": timestamp(set_at)}}

    # Commands

    def _create_command(self, auth: Auth) -> click.Command:
        @click.command("create")
        @click.argument("email")
        @click.option("--name", help="What the user is called.")
        @click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
        async def create(email: str, name: str | None, password_stdin: bool) -> None:
            """Create an account with a password; the address counts as verified."""
            # Not stored yet, but what is known of it is.
            future = User(uuid.uuid4(), email, name=name)
            hash = await self.checked_hash(auth, _ask_password(password_stdin), future)

            async def make(tx: AsyncConnection) -> User:
                user = await auth.users.create(tx, email=email, email_verified=True, name=name)
                await self.set(auth, tx, user, hash)
                return user

            user = await auth.db.transaction(make)
            click.echo(f"Created {user.email} ({user.id}).")

        return create

    def _set_command(self, auth: Auth) -> click.Command:
        @click.command("set-password")
        @click.argument("email")
        @click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
        async def set_password(email: str, password_stdin: bool) -> None:
            """Set an account's password and end its sessions; API keys stay."""
            user = await auth.users.by_email(email)
            if user is None:
                raise click.ClickException(f"There is no account of {email}.")
            hash = await self.checked_hash(auth, _ask_password(password_stdin), user)

            async def change(tx: AsyncConnection) -> None:
                await auth.users.lock(tx, user.id)
                had_one = (await tx.execute(self._hash_of(user.id))).first() is not None
                await self.set(auth, tx, user, hash)
                await auth.revoke(tx, user, "password_changed")
                fact = PasswordChanged if had_one else PasswordSet
                await auth.emit(tx, fact(user_id=user.id, metadata={"api_keys": False} if had_one else {}))
                await self.tell(auth, tx, user)

            await auth.db.transaction(change)
            click.echo(f"Set the password of {user.email}; all sessions ended.")

        return set_password


async def _live_keys(auth: Auth, tx: AsyncConnection, user: User) -> int:
    """What goes on letting in whoever has it."""
    try:
        return await auth.plugin(APIKeys).count(auth, tx, user)
    except LookupError:
        return 0


def _ask_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))

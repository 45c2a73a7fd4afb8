"""Passwords: sign in with an address and a password, in equal work whether or not the account exists."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import click
from pydantic import BaseModel, Field
from sqlalchemy import Column, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra.db import UTCDateTime, user_ref
from sigra.errors import InvalidCredentials
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.models import Login, User
from sigra.protocols import Auth


class Credentials(BaseModel):
    """The body of a sign-in: address at most 254 characters (RFC 5321, section 4.5.3.1), password at most 1,024."""

    email: Annotated[str, Field(max_length=254)]
    password: Annotated[str, Field(max_length=1024, repr=False)]
    remember: bool = False
    next: Annotated[str | None, Field(max_length=2048)] = None


class Password:
    """Signs in by password."""

    name = "password"
    api = 1

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
        return [Route("/login", partial(self.sign_in, auth), methods=["POST"])]

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        users = cli.commands["users"]
        assert isinstance(users, click.Group)
        users.add_command(self._create_command(auth))
        users.add_command(self._set_command(auth))

    async def sign_in(self, auth: Auth, request: Request) -> Response:
        """POST /login."""
        body = await auth.read(request, Credentials)
        async with auth.attempt(request, method="password", email=body.email):
            user = await self._verified(auth, body)
            login = Login(user, ("pwd",), methods=("password",), remember=body.remember, next=body.next)
            return await auth.sign_in(request, login)

    async def _verified(self, auth: Auth, body: Credentials) -> User:
        user = await auth.users.by_email(body.email)
        # The same statement and the same hash whether or not there is an account that may sign in.
        stored = await self._stored(auth, user.id if user else uuid.uuid4())
        usable = stored if user is not None and user.status == "active" else None
        if not await auth.hasher.verify(usable, body.password) or user is None or usable is None:
            raise InvalidCredentials
        if auth.hasher.outdated(usable):
            await self._rehash(auth, user, usable, body.password)
        return user

    async def _stored(self, auth: Auth, user_id: uuid.UUID) -> str | None:
        query = select(self.table.c.hash).where(self.table.c.user_id == user_id)
        async with auth.db.connect() as tx:
            return (await tx.execute(query)).scalar_one_or_none()

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

    # Commands

    def _create_command(self, auth: Auth) -> click.Command:
        @click.command("create")
        @click.argument("email")
        @click.option("--name", help="What the user is called.")
        @click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
        async def create(email: str, name: str | None, password_stdin: bool) -> None:
            """Create an account with a password; the address counts as verified."""
            hash = await auth.hasher.hash(_ask_password(password_stdin))

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
            hash = await auth.hasher.hash(_ask_password(password_stdin))

            async def change(tx: AsyncConnection) -> None:
                await auth.revoke(tx, user, "password_changed")
                await self.set(auth, tx, user, hash)

            await auth.db.transaction(change)
            click.echo(f"Set the password of {user.email}; all sessions ended.")

        return set_password


def _ask_password(from_stdin: bool) -> str:
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        text = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    if len(text) < 8:
        raise click.ClickException("The password needs at least 8 characters.")
    return text

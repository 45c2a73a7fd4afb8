"""The plugin: a key lets a program in, and its user makes, sees and revokes it by route, page and command."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, ClassVar

import click
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Column, MetaData, String, Table, Text, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sigra.answers import DONE, HTML
from sigra.db import Digest, Id, LastUse, Lookup, UTCDateTime, at_present, elapsed, user_ref
from sigra.errors import FieldError, InvalidToken, NotFound, ValidationFailed
from sigra.events import Event
from sigra.guards import confirmation, current_user, requires
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.messages import Message
from sigra.models import Identity, Part, User, timestamp
from sigra.plugins.api_keys.shapes import PREFIX, AllKeys, CreatedKey, NewKey, PublicKey, Scope, public
from sigra.protocols import Auth

PURPOSE = "api_key"

KEPT_AT = frozenset(
    {"password_changed", "password_reset", "email_changed", "sign_out", "authenticator_removed", "factors_removed"}
)
"""Reasons that end sessions and leave keys: programs go on when a person changes how to sign in, or an address."""


@dataclass(frozen=True, kw_only=True)
class APIKeyCreated(Event):
    """A key was made; `metadata` has its `key_id`, `name` and `scopes`."""

    name: ClassVar[str] = "api_key.created"


@dataclass(frozen=True, kw_only=True)
class APIKeyRevoked(Event):
    """A key was revoked; `metadata` has its `key_id`."""

    name: ClassVar[str] = "api_key.revoked"


OFFERED_DAYS = (7, 30, 90, 365)
"""After how many days a key made on the page may end; a program may say any time."""


class APIKeys:
    """Carries programs' requests: `Authorization: Bearer sigra_sk_…`."""

    name = "api_keys"
    api = 1
    events = (APIKeyCreated, APIKeyRevoked)

    class Settings(BaseModel):
        """What keys may be given.

        Args:
            scopes: The scopes that a key may have; empty for any.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        scopes: tuple[Scope, ...] = ()

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, auth: Auth, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_api_keys",
            metadata,
            Column("id", Id(), primary_key=True),
            user_ref(),
            Column("digest", Digest(), nullable=False, unique=True),
            Column("name", String(100), nullable=False),
            Column("scopes", Text, nullable=False),
            Column("last_four", String(4), nullable=False),
            Column("created_at", UTCDateTime, nullable=False),
            Column("expires_at", UTCDateTime),
            Column("last_used_at", UTCDateTime),
        )
        its, now = self.table.c, at_present(auth.clock)
        unexpired = its.expires_at.is_(None) | (its.expires_at > now)
        columns = [its.id, its.scopes, elapsed(its.last_used_at, now)]
        self.lookup = Lookup(self.table, its.digest, unexpired, columns=columns, made=_found)
        self.last_use = LastUse(self.table)
        return [self.table]

    @hookimpl
    def register_resources(self, auth: Auth) -> Sequence[AbstractAsyncContextManager[object]]:
        return [self.last_use.writing(auth.db)]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route("/api-keys", partial(self.show_all, auth), secured=True, answers={200: (AllKeys, HTML)}),
            Route(
                "/api-keys",
                partial(self.create, auth),
                methods=["POST"],
                secured=True,
                body=NewKey,
                answers={201: (CreatedKey, HTML)},
            ),
            Route("/api-keys/{id:uuid}", partial(self.revoke, auth), methods=["DELETE"], secured=True, answers=DONE),
        ]

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        group = click.Group("api-keys", help="Keys for programs.")
        for command in (self._create_command(auth), self._list_command(auth), self._revoke_command(auth)):
            group.add_command(command)
        cli.add_command(group)

    @hookimpl
    async def identity_from_authorization(
        self, auth: Auth, request: HTTPConnection, scheme: str, credentials: str
    ) -> Identity | None:
        if scheme != "bearer" or not credentials.startswith(PREFIX):
            return None
        # A wrong checksum has no digests: it costs no query.
        digests = auth.tokens.digests(PURPOSE, credentials, PREFIX)
        found = await self.lookup.find(auth.db, digests) if digests else None
        if found is None:
            raise InvalidToken
        identity, id, unused = found
        self.last_use.note(id, unused, auth.clock)
        return identity

    @hookimpl
    async def revoke_credentials(self, tx: AsyncConnection, user: User, reason: str) -> None:
        if reason not in KEPT_AT:
            await self.erase_user(tx, user)

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.erase_user(tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        return {"API keys": (await tx.execute(delete(self.table))).rowcount}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await tx.execute(delete(self.table).where(self.table.c.user_id == user.id))

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> AllKeys:
        return {"api_keys": await self._public_keys(auth, user)}

    async def count(self, auth: Auth, tx: AsyncConnection, user: User) -> int:
        """How many keys let programs in for the user."""
        expires = self.table.c.expires_at
        live = (self.table.c.user_id == user.id, or_(expires.is_(None), expires > auth.clock()))
        return await tx.scalar(select(func.count()).select_from(self.table).where(*live)) or 0

    # Routes

    async def show_all(self, auth: Auth, request: Request) -> Response:
        """GET /api-keys: the user's keys, newest first, never the secrets."""
        user = await current_user(request)
        answer: AllKeys = {"api_keys": await self._public_keys(auth, user)}
        return await auth.show(request, "account", answer)

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page != "account" or user is None:
            return None
        now = auth.clock()
        context = {
            "api_keys": await self._public_keys(auth, user),
            "now": timestamp(now),
            "confirm": confirmation(request, "api-keys"),
            "scopes_hint": self._scopes_hint(),
            "expiries": [("", "Never"), *((timestamp(now + timedelta(days=n)), f"In {n} days") for n in OFFERED_DAYS)],
        }
        return [Part("main", 400, "api_keys/account.html", context)]

    def _scopes_hint(self) -> str:
        scopes = self.settings.scopes
        return f"Any of {', '.join(scopes)}." if scopes else "Words with spaces between them, as in reports:read."

    async def _public_keys(self, auth: Auth, user: User) -> list[PublicKey]:
        query = select(self.table).where(self.table.c.user_id == user.id).order_by(self.table.c.created_at.desc())
        async with auth.db.connect() as tx:
            return [public(dict(row)) for row in (await tx.execute(query)).mappings()]

    async def create(self, auth: Auth, request: Request) -> Response:
        """POST /api-keys: create a key, which is shown once; needs a fresh sign-in."""
        await requires(fresh=True)(request)
        wanted = await auth.read(request, NewKey)
        self._check(auth, wanted)
        key, row = await auth.db.transaction(partial(self._make_own, auth, request, wanted))
        answer: CreatedKey = {**public(row), "key": key}
        return await auth.show(request, "account", answer, 201)

    async def _make_own(
        self, auth: Auth, request: Request, wanted: NewKey, tx: AsyncConnection
    ) -> tuple[str, dict[str, Any]]:
        return await self.make(auth, await auth.present(tx, request), wanted, tx)

    def _check(self, auth: Auth, wanted: NewKey) -> None:
        errors = []
        if self.settings.scopes and not set(wanted.scopes) <= set(self.settings.scopes):
            errors.append(FieldError("scopes", "scope_not_allowed", "A scope is not among those that keys may have."))
        if wanted.expires_at is not None and wanted.expires_at <= auth.clock():
            errors.append(FieldError("expires_at", "in_the_past", "The expiry is in the past."))
        if errors:
            raise ValidationFailed(errors)

    async def make(self, auth: Auth, user: User, wanted: NewKey, tx: AsyncConnection) -> tuple[str, dict[str, Any]]:
        """Insert a key: its text, and the row."""
        secret = auth.tokens.mint(PURPOSE, PREFIX)
        row = {
            "id": uuid.uuid4(),
            "user_id": user.id,
            "digest": secret.digest,
            "name": wanted.name,
            "scopes": json.dumps(sorted(set(wanted.scopes))),
            "last_four": secret.text[-4:],
            "created_at": auth.clock(),
            "expires_at": wanted.expires_at,
            "last_used_at": None,
        }
        await tx.execute(insert(self.table).values(row))
        metadata = {"key_id": str(row["id"]), "name": wanted.name, "scopes": sorted(set(wanted.scopes))}
        await auth.emit(tx, APIKeyCreated(user_id=user.id, metadata=metadata))
        if user.email is not None:
            context = {"prefix": PREFIX, "last_four": row["last_four"]}
            await auth.send(tx, Message("api_key_created", user.email, user, context))
        return secret.text, row

    async def revoke(self, auth: Auth, request: Request) -> Response:
        """DELETE /api-keys/{id}: revoke a key; 404 for foreign and absent alike."""
        user = await current_user(request)
        wanted = request.path_params["id"]
        await auth.db.transaction(partial(self._revoke, auth, user, wanted))
        return Response(status_code=204)

    async def _revoke(self, auth: Auth, user: User, wanted: uuid.UUID, tx: AsyncConnection) -> None:
        mine = (self.table.c.id == wanted) & (self.table.c.user_id == user.id)
        if (await tx.execute(delete(self.table).where(mine))).rowcount != 1:
            raise NotFound
        await auth.emit(tx, APIKeyRevoked(user_id=user.id, metadata={"key_id": str(wanted)}))

    # Commands

    def _create_command(self, auth: Auth) -> click.Command:
        @click.command("create")
        @click.argument("email")
        @click.option("--name", required=True, help="What the key is for.")
        @click.option("--scope", "scopes", multiple=True, help="What the key may do; may be given several times.")
        async def create(email: str, name: str, scopes: tuple[str, ...]) -> None:
            """Create a key for an account and print it alone on its line; it is shown once."""
            user = await _account(auth, email)
            wanted = _parse(name, scopes)
            self._check(auth, wanted)
            key, _ = await auth.db.transaction(partial(self.make, auth, user, wanted))
            click.echo(key)

        return create

    def _list_command(self, auth: Auth) -> click.Command:
        @click.command("list")
        @click.argument("email")
        @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        async def show_all(email: str, as_json: bool) -> None:
            """List an account's keys, the newest first; a key itself is never shown again."""
            keys = await self._public_keys(auth, await _account(auth, email))
            text = json.dumps({"api_keys": keys}, indent=2) if as_json else "\n".join(map(_line, keys))
            click.echo(text, nl=bool(text))

        return show_all

    def _revoke_command(self, auth: Auth) -> click.Command:
        @click.command("revoke")
        @click.argument("email")
        @click.argument("id", type=click.UUID)
        async def revoke(email: str, id: uuid.UUID) -> None:
            """Revoke a key of an account at once, by the ID that `list` shows."""
            user = await _account(auth, email)
            try:
                await auth.db.transaction(partial(self._revoke, auth, user, id))
            except NotFound:
                raise click.ClickException(f"{user.email} has no key {id}.") from None
            click.echo(f"Revoked {id}.")

        return revoke


async def _account(auth: Auth, email: str) -> User:
    user = await auth.users.by_email(email)
    if user is None:
        raise click.ClickException(f"There is no account of {email}.")
    return user


def _line(key: PublicKey) -> str:
    """A key on one line, without what a terminal would obey."""
    scopes = ",".join(key["scopes"]) or "no scopes"
    expires, used = key["expires_at"] or "never", key["last_used_at"] or "never"
    dates = f"created {key['created_at']}, expires {expires}, used {used}"
    text = f"{key['id']}  {key['prefix']}...{key['last_four']}  {key['name']}  ({scopes}; {dates})"
    return "".join(char if char.isprintable() else "?" for char in text)


def _parse(name: str, scopes: Sequence[str]) -> NewKey:
    try:
        return NewKey(name=name, scopes=list(scopes))
    except ValidationError as error:
        fields = ", ".join(sorted({f"--{str(found['loc'][0]).removesuffix('s')}" for found in error.errors()}))
        raise click.UsageError(f"{fields}: a name is printable text, a scope matches [a-z0-9_.:-]{{1,64}}.") from None


def _found(user: User, id: uuid.UUID, scopes: str, unused: float | None) -> tuple[Identity, uuid.UUID, float | None]:
    """Whoever a key stands for, its row, and how many seconds it was not used."""
    return Identity(user, "api_key", str(id), _scopes(scopes)), id, unused


@lru_cache(maxsize=256)
def _scopes(text: str) -> frozenset[str]:
    """The scopes of a key; there are few different ones, read on every request."""
    return frozenset(json.loads(text))

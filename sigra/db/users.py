"""The accounts: rows of `sigra_users`, the host's columns included, as `User`."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.addresses import canonical_email, typed_email
from sigra.db.engine import Database
from sigra.db.identifiers import uuid7
from sigra.db.schema import host_columns
from sigra.errors import Conflict, FieldError, ValidationFailed
from sigra.events import Event, UserCreated, UserDisabled, UserEnabled
from sigra.models import Status, User

_NO_COLUMNS: Mapping[str, Any] = MappingProxyType({})

STATUS_EVENTS: Mapping[str, type[Event]] = MappingProxyType({"disabled": UserDisabled, "active": UserEnabled})


_user: Callable[..., User] = User

OWN = 7
"""Columns of a user that are ours."""

OF_A_USER = ("sigra_pending_sign_ins", "sigra_tokens", "sigra_outbox")
"""The core's tables that point at a user."""


class UserReader:
    """What to select for a `User`, and how to make it from the row; resolved once."""

    def __init__(self, users: Table) -> None:
        own = users.columns
        further = host_columns(users)
        self.columns: tuple[ColumnElement[Any], ...] = (
            # In the order of the fields of `User`.
            own.id,
            own.email,
            own.email_verified_at.is_not(None).label("email_verified"),
            own.name,
            own.status,
            own.security_version,
            own.locale,
            *further,
        )
        self.further = tuple(column.name for column in further)
        self.user = self._with_further if further else _user
        """Makes the user of a row of `columns`, given one by one."""

    def _with_further(self, *values: Any) -> User:
        further = MappingProxyType(dict(zip(self.further, values[OWN:], strict=True)))
        return _user(*values[:OWN], further)


class UserTable:
    """Look-ups and changes of accounts.

    Args:
        users: `sigra_users`, the host's or the core's.
        emit: Records an event in its transaction.
    """

    def __init__(
        self,
        users: Table,
        db: Database,
        *,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
        emit: Callable[[AsyncConnection, Event], Awaitable[None]],
    ) -> None:
        self._table = users
        self._reader = UserReader(users)
        self._select = select(*self._reader.columns)
        self._db = db
        self._clock = clock
        self._random = random
        self._emit = emit

    async def by_email(self, address: str, tx: AsyncConnection | None = None) -> User | None:
        """The account of an address, in any spelling; None for text that is no address, too."""
        try:
            canonical = canonical_email(address)
        except ValueError:
            return None
        return await self._find(self._table.c.email_canonical == canonical, tx)

    async def by_id(self, id: uuid.UUID, tx: AsyncConnection | None = None) -> User | None:
        """The account of an id."""
        return await self._find(self._table.c.id == id, tx)

    async def lock(self, tx: AsyncConnection, id: uuid.UUID) -> User | None:
        """The account, that nobody else changes until the transaction ends; SQLite has one writer anyway.

        Rows are locked in one order: user, secret, session, audit.
        """
        # The weaker lock of PostgreSQL excludes itself and lets rows that point at the user be written.
        return await self._first(tx, self._select.where(self._table.c.id == id).with_for_update(key_share=True))

    async def list(self) -> list[User]:
        """Every account, the oldest first."""
        async with self._db.connect() as tx:
            rows = await tx.execute(self._select.order_by(self._table.c.created_at, self._table.c.id))
            return [self._reader.user(*row) for row in rows]

    async def create(
        self,
        tx: AsyncConnection,
        *,
        email: str | None,
        email_verified: bool = False,
        name: str | None = None,
        columns: Mapping[str, Any] = _NO_COLUMNS,
    ) -> User:
        """Insert an account and record `UserCreated`.

        Args:
            columns: Values for columns of the host's own.

        Raises:
            ValidationFailed: The address is not one.
            Conflict: It has an account already.
        """
        now = self._clock()
        typed, canonical = (None, None) if email is None else _spellings(email)
        user = User(uuid7(self._clock, self._random), typed, typed is not None and email_verified, name)
        values = {
            **{name: value for name, value in columns.items() if name in self._reader.further},
            "id": user.id,
            "email": typed,
            "email_canonical": canonical,
            "email_verified_at": now if user.email_verified else None,
            "name": name,
            "status": user.status,
            "security_version": user.security_version,
            "created_at": now,
            "updated_at": now,
        }
        if not await self._db.dialect.insert_new(tx, self._table, values):
            raise Conflict("This address has an account already.")
        await self._emit(tx, UserCreated(user_id=user.id))
        return await self.by_id(user.id, tx) or user

    async def describe(self, tx: AsyncConnection, user: User, *, name: str | None, locale: str | None) -> User:
        """Change what the user is called, and in which language mails are written."""
        await self._update(tx, user, name=name, locale=locale)
        return replace(user, name=name, locale=locale)

    async def verify(self, tx: AsyncConnection, user: User) -> User:
        """Note that the address was proven."""
        await self._update(tx, user, email_verified_at=self._clock())
        return replace(user, email_verified=True)

    async def move(self, tx: AsyncConnection, user: User, email: str) -> User:
        """Give the account another address, which was proven.

        Raises:
            ValidationFailed: It is not an address.
            Conflict: It has an account already.
        """
        typed, canonical = _spellings(email)
        try:
            async with tx.begin_nested():
                await self._update(tx, user, email=typed, email_canonical=canonical, email_verified_at=self._clock())
        except IntegrityError as error:
            raise Conflict("This address has an account already.") from error
        return replace(user, email=typed, email_verified=True)

    async def delete(self, tx: AsyncConnection, user: User) -> None:
        """Delete the account; what points at it goes with it."""
        await self._clear(tx, user)
        await tx.execute(delete(self._table).where(self._table.c.id == user.id))

    async def anonymise(self, tx: AsyncConnection, user: User) -> None:
        """Keep the account's row and nothing that says whose it was; the host's columns are the host's matter."""
        await self._clear(tx, user)
        await self._update(
            tx,
            user,
            email=None,
            email_canonical=None,
            email_verified_at=None,
            name=None,
            locale=None,
            status="disabled",
            security_version=self._table.c.security_version + 1,
        )

    async def bump_security_version(self, tx: AsyncConnection, user: User) -> User:
        """End every proof that was given before."""
        version = self._table.c.security_version + 1
        await self._update(tx, user, security_version=version)
        return await self.by_id(user.id, tx) or user

    async def set_status(self, tx: AsyncConnection, user: User, status: Status) -> User:
        """Change what the account may do, end proofs that are under way, and record it."""
        await self._update(tx, user, status=status, security_version=self._table.c.security_version + 1)
        if status in STATUS_EVENTS:
            await self._emit(tx, STATUS_EVENTS[status](user_id=user.id))
        return await self.by_id(user.id, tx) or replace(user, status=status)

    async def _clear(self, tx: AsyncConnection, user: User) -> None:
        """Delete the core's own rows: sign-ins that wait, tokens, mail to the user, and mail asked for by anybody."""
        tables = self._table.metadata.tables
        for name in OF_A_USER:
            await tx.execute(delete(tables[name]).where(tables[name].c.user_id == user.id))
        if user.email is not None:
            canonical = await tx.scalar(select(self._table.c.email_canonical).where(self._table.c.id == user.id))
            recipient, subject = tables["sigra_outbox"].c.recipient, tables["sigra_tokens"].c.subject
            spellings = func.lower(recipient).in_([user.email.lower(), canonical])
            await tx.execute(delete(tables["sigra_outbox"]).where(spellings))
            await tx.execute(delete(tables["sigra_tokens"]).where(subject == canonical))

    async def _update(self, tx: AsyncConnection, user: User, **values: Any) -> None:
        table = self._table
        await tx.execute(update(table).where(table.c.id == user.id).values(updated_at=self._clock(), **values))

    async def _find(self, condition: ColumnElement[bool], tx: AsyncConnection | None) -> User | None:
        statement = self._select.where(condition)
        if tx is not None:
            return await self._first(tx, statement)
        async with self._db.connect() as own:
            return await self._first(own, statement)

    async def _first(self, tx: AsyncConnection, statement: Select[Any]) -> User | None:
        row = (await tx.execute(statement)).first()
        return None if row is None else self._reader.user(*row)


def _spellings(email: str) -> tuple[str, str]:
    try:
        return typed_email(email), canonical_email(email)
    except ValueError as error:
        raise ValidationFailed([FieldError("email", "invalid_email", "This is not an e-mail address.")]) from error

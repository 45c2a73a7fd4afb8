"""The core's tables, and how a host's and a plugin's tables tie in with the users."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column, registry

from sigra.addresses import MAXIMUM_LENGTH
from sigra.db.types import Digest, ExactText, Id, JSONText, UTCDateTime
from sigra.errors import ConfigurationError

USERS = "sigra_users"
PREFIX = "sigra_"
"""Tables of this prefix are Sigra's and its plugins'."""

VERSIONS = f"{PREFIX}version_"
"""Of these, where each distribution's revisions are."""


class UserColumns:
    """The columns of `sigra_users`, for a host's own class: `class User(UserColumns, Base)` with columns of its own.

    The host's further columns are nullable or have a server default; the host migrates them.
    """

    __tablename__ = USERS

    id: Mapped[uuid.UUID] = mapped_column(Id, primary_key=True)
    email: Mapped[str | None] = mapped_column(String(MAXIMUM_LENGTH))
    """As typed; mail goes there."""
    email_canonical: Mapped[str | None] = mapped_column(ExactText(MAXIMUM_LENGTH), unique=True)
    email_verified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    name: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(16))
    security_version: Mapped[int] = mapped_column(BigInteger)
    """Moves with every change that ends proofs made before it."""
    locale: Mapped[str | None] = mapped_column(String(35))
    """A language tag; 35 characters hold any (RFC 5646, section 4.4.1)."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)


@dataclass(frozen=True, slots=True)
class CoreTables:
    """The tables that the core owns."""

    users: Table
    pending_sign_ins: Table
    tokens: Table
    outbox: Table
    jobs: Table
    limits: Table

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(getattr(self, field.name).name for field in fields(self))


def core_tables(metadata: MetaData) -> CoreTables:
    """The core's tables, made on `metadata`, which may be the host's and may hold the host's own `sigra_users`.

    Raises:
        ConfigurationError: A table there is not what it should be, with the cure.
    """
    if metadata.schema is not None:
        raise ConfigurationError("The MetaData has a schema: give Sigra one without, and set the search path instead.")
    foreign = sorted(name for name in metadata.tables if name.startswith(PREFIX) and name != USERS)
    if foreign:
        raise ConfigurationError(
            f"The MetaData has a table {foreign[0]} already: rename it, or give each Sigra a MetaData of its own."
        )
    return CoreTables(
        users_table(metadata),
        _pending_sign_ins(metadata),
        _tokens(metadata),
        _outbox(metadata),
        _jobs(metadata),
        _limits(metadata),
    )


def users_table(metadata: MetaData) -> Table:
    """The host's `sigra_users` when `metadata` has one, else the core's own.

    Raises:
        ConfigurationError: The host's table lacks a column of ours, or demands a value that Sigra cannot know.
    """
    if USERS not in metadata.tables:
        return _own_users(metadata)
    table = metadata.tables[USERS]
    own = _own_users(MetaData())
    for column in own.columns:
        _check_own(column, table)
    for column in host_columns(table):
        _check_further(column)
    return table


def own_names() -> frozenset[str]:
    """The names of our columns of `sigra_users`."""
    return frozenset(name for name, value in vars(UserColumns).items() if isinstance(value, MappedColumn))


def host_columns(table: Table) -> list[Column[Any]]:
    """The columns of `sigra_users` that the host added."""
    own = own_names()
    return [column for column in table.columns if column.name not in own]


def user_ref(
    name: str = "user_id", *, primary_key: bool = False, nullable: bool = False, index: bool = True
) -> Column[uuid.UUID]:
    """A column that points at a user, whose rows go when the user goes.

    Args:
        name: The column's name.
        primary_key: One row a user.
        nullable: The row may point at nobody.
        index: Leave it on: a cascade, and `revoke_credentials`, look rows up by user.
    """
    target = ForeignKey(f"{USERS}.id", ondelete="CASCADE")
    if primary_key:
        return Column(name, Id, target, primary_key=True)
    return Column(name, Id, target, nullable=nullable, index=index)


def user_column(table: Table) -> Column[Any]:
    """The column of `table` that points at a user.

    Raises:
        ConfigurationError: There is none, or more than one.
    """
    found = [column for column in table.columns for key in column.foreign_keys if key.target_fullname == f"{USERS}.id"]
    if len(found) != 1:
        raise ConfigurationError(
            f"Table {table.name} needs exactly one column made by user_ref(); it has {len(found)}."
        )
    return found[0]


def _own_users(metadata: MetaData) -> Table:
    registry(metadata=metadata).mapped(type("SigraUser", (UserColumns,), {}))
    return metadata.tables[USERS]


def _check_own(ours: Column[Any], table: Table) -> None:
    theirs = table.columns.get(ours.name)
    cure = "inherit sigra.db.UserColumns and leave its columns as they are"
    if theirs is None:
        raise ConfigurationError(f"Table {USERS} has no column {ours.name}: {cure}.")
    if _shape(theirs) != _shape(ours):
        raise ConfigurationError(f"Column {USERS}.{ours.name} differs from ours: {cure}.")


def _shape(column: Column[Any]) -> tuple[str, bool, bool, bool]:
    return repr(column.type), bool(column.nullable), column.primary_key, bool(column.unique)


def _check_further(column: Column[Any]) -> None:
    filled = column.server_default is not None or column.computed is not None or column.identity is not None
    if not (column.nullable or filled):
        raise ConfigurationError(
            f"Column {USERS}.{column.name} is neither nullable nor has a server default, so that no account could be "
            f"made: declare it with nullable=True or server_default=…."
        )


def _pending_sign_ins(metadata: MetaData) -> Table:
    return Table(
        "sigra_pending_sign_ins",
        metadata,
        Column("id", Id, primary_key=True),
        Column("token_digest", Digest, nullable=False, unique=True),
        user_ref(),
        Column("security_version", BigInteger, nullable=False),
        Column("login", JSONText, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("created_at", UTCDateTime, nullable=False),
        Column("expires_at", UTCDateTime, nullable=False),
    )


def _tokens(metadata: MetaData) -> Table:
    return Table(
        "sigra_tokens",
        metadata,
        Column("id", Id, primary_key=True),
        Column("purpose", ExactText(64), nullable=False),
        Column("digest", Digest, nullable=False, unique=True),
        user_ref(nullable=True),
        Column("subject", ExactText(MAXIMUM_LENGTH)),
        Column("code_digest", Digest),
        Column("code_tries", Integer, nullable=False),
        Column("payload", JSONText, nullable=False),
        Column("created_at", UTCDateTime, nullable=False),
        Column("expires_at", UTCDateTime, nullable=False),
        UniqueConstraint("purpose", "subject", name="uq_sigra_tokens_subject"),
    )


def _outbox(metadata: MetaData) -> Table:
    return Table(
        "sigra_outbox",
        metadata,
        Column("id", Id, primary_key=True),
        Column("phase", ExactText(16), nullable=False),
        Column("kind", ExactText(64), nullable=False),
        Column("recipient", String(MAXIMUM_LENGTH), nullable=False),
        user_ref(nullable=True),
        Column("languages", String(128)),
        Column("context", JSONText, nullable=False),
        Column("mint", JSONText),
        Column("minted_at", UTCDateTime),
        Column("created_at", UTCDateTime, nullable=False),
        Column("due_at", UTCDateTime, nullable=False, index=True),
        Column("tries", Integer, nullable=False),
        Column("dead_at", UTCDateTime),
        Column("problem", String(200)),
    )


def _jobs(metadata: MetaData) -> Table:
    return Table(
        "sigra_jobs",
        metadata,
        Column("name", ExactText(64), primary_key=True),
        Column("due_at", UTCDateTime, nullable=False),
    )


def _limits(metadata: MetaData) -> Table:
    return Table(
        "sigra_limits",
        metadata,
        Column("id", Digest, primary_key=True),
        Column("taken", JSONText, nullable=False),
        Column("expires_at", UTCDateTime, nullable=False, index=True),
    )

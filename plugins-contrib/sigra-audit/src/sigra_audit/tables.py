"""The tables: rows and seals that are only ever added to, anchors of what retention took away, and cursors."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

from sigra.db import Digest, ExactText, Id, UTCDateTime

APPEND_ONLY = {"append_only": True}
"""`sigra db harden` gives the application no right to change or delete what is in such a table."""

ID_LENGTH = 64
NAME_LENGTH = 128
AGENT_LENGTH = 512
REASON_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Tables:
    """What the record is stored in."""

    entries: Table
    seals: Table
    anchors: Table
    cursors: Table

    def all(self) -> tuple[Table, ...]:
        return self.entries, self.seals, self.anchors, self.cursors


def tables(metadata: MetaData) -> Tables:
    """The tables, made on `metadata`. Users are named by text: a row outlives the account that it tells of."""
    return Tables(_entries(metadata), _seals(metadata), _anchors(metadata), _cursors(metadata))


def _entries(metadata: MetaData) -> Table:
    return Table(
        "sigra_audit",
        metadata,
        Column("id", Id, primary_key=True),
        Column("occurred_at", UTCDateTime, nullable=False),
        Column("name", ExactText(NAME_LENGTH), nullable=False),
        Column("outcome", ExactText(16), nullable=False),
        Column("actor_id", ExactText(ID_LENGTH)),
        Column("subject_id", ExactText(ID_LENGTH)),
        Column("session_id", ExactText(ID_LENGTH)),
        Column("client", ExactText(ID_LENGTH)),
        Column("user_agent", ExactText(AGENT_LENGTH)),
        Column("reason", ExactText(REASON_LENGTH)),
        Column("request_id", ExactText(NAME_LENGTH)),
        Column("metadata", Text, nullable=False),
        Column("key_id", ExactText(16), nullable=False),
        Column("mac", Digest, nullable=False),
        Index("ix_sigra_audit_subject", "subject_id", "id"),
        info=APPEND_ONLY,
    )


def _seals(metadata: MetaData) -> Table:
    return Table(
        "sigra_audit_seals",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("entry_id", Id, nullable=False, unique=True),
        Column("hash", Digest, nullable=False),
        Column("made_at", UTCDateTime, nullable=False),
        Column("key_id", ExactText(16), nullable=False),
        Column("mac", Digest, nullable=False),
        info=APPEND_ONLY,
    )


def _anchors(metadata: MetaData) -> Table:
    return Table(
        "sigra_audit_anchors",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("hash", Digest, nullable=False),
        Column("made_at", UTCDateTime, nullable=False),
        Column("key_id", ExactText(16), nullable=False),
        Column("mac", Digest, nullable=False),
        info=APPEND_ONLY,
    )


def _cursors(metadata: MetaData) -> Table:
    return Table(
        "sigra_audit_cursors",
        metadata,
        Column("name", ExactText(16), primary_key=True),
        Column("position", BigInteger, nullable=False),
        Column("held_until", UTCDateTime),
    )

"""Rows, seals, anchors, cursors."""

from alembic import op
from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

from sigra.db import Digest, ExactText, Id, UTCDateTime

revision = "audit_0001"
down_revision = None


def upgrade() -> None:
    metadata = MetaData()
    Table(
        "sigra_audit",
        metadata,
        Column("id", Id, primary_key=True),
        Column("occurred_at", UTCDateTime, nullable=False),
        Column("name", ExactText(128), nullable=False),
        Column("outcome", ExactText(16), nullable=False),
        Column("actor_id", ExactText(64)),
        Column("subject_id", ExactText(64)),
        Column("session_id", ExactText(64)),
        Column("client", ExactText(64)),
        Column("user_agent", ExactText(512)),
        Column("reason", ExactText(128)),
        Column("request_id", ExactText(128)),
        Column("metadata", Text, nullable=False),
        Column("key_id", ExactText(16), nullable=False),
        Column("mac", Digest, nullable=False),
        Index("ix_sigra_audit_subject", "subject_id", "id"),
    )
    Table(
        "sigra_audit_seals",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("entry_id", Id, nullable=False, unique=True),
        Column("hash", Digest, nullable=False),
        Column("made_at", UTCDateTime, nullable=False),
        Column("key_id", ExactText(16), nullable=False),
        Column("mac", Digest, nullable=False),
    )
    Table(
        "sigra_audit_anchors",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("hash", Digest, nullable=False),
        Column("made_at", UTCDateTime, nullable=False),
        Column("key_id", ExactText(16), nullable=False),
        Column("mac", Digest, nullable=False),
    )
    Table(
        "sigra_audit_cursors",
        metadata,
        Column("name", ExactText(16), primary_key=True),
        Column("position", BigInteger, nullable=False),
        Column("held_until", UTCDateTime),
    )
    # MySQL commits after each statement: one that was interrupted halfway goes on where it was.
    metadata.create_all(op.get_bind(), checkfirst=True)
    for table in metadata.sorted_tables:
        for index in table.indexes:
            index.create(op.get_bind(), checkfirst=True)

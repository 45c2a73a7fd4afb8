"""Tries and locks, by subject."""

from alembic import op
from sqlalchemy import Boolean, Column, Integer

from sigra.db import Digest, UTCDateTime

revision = "lockout_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "sigra_lockout",
        Column("id", Digest(), primary_key=True),
        Column("account", Digest(), nullable=False, index=True),
        Column("failures", Integer, nullable=False),
        Column("locks", Integer, nullable=False),
        Column("locked_until", UTCDateTime),
        Column("told", Boolean, nullable=False),
        Column("expires_at", UTCDateTime, nullable=False, index=True),
    )

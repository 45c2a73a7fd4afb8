"""Authenticator apps."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String

from sigra.db import Sealed, UTCDateTime, user_ref

revision = "totp_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "sigra_totp",
        user_ref(primary_key=True),
        Column("seed", Sealed(), nullable=False),
        Column("algorithm", String(8), nullable=False),
        Column("digits", Integer, nullable=False),
        Column("period", Integer, nullable=False),
        Column("last_step", BigInteger),
        Column("created_at", UTCDateTime, nullable=False, index=True),
        Column("confirmed_at", UTCDateTime),
        Column("last_used_at", UTCDateTime),
    )

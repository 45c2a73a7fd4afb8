"""Badges."""

from alembic import op
from sqlalchemy import Boolean, Column, String

from sigra.db import UTCDateTime, user_ref

revision = "badge_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "sigra_badges",
        Column("number", String(32), primary_key=True),
        user_ref(),
        Column("pin", String(255), nullable=False),
        Column("blocked", Boolean, nullable=False),
        Column("issued_at", UTCDateTime, nullable=False),
    )

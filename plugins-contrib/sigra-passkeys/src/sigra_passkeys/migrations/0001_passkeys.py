"""Passkeys, and the handles of their users."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, String, UniqueConstraint

from sigra.db import Digest, Id, UTCDateTime, user_ref

revision = "passkeys_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "sigra_passkeys",
        Column("id", Id(), primary_key=True),
        user_ref(),
        Column("credential_digest", Digest(), nullable=False),
        Column("credential_id", LargeBinary(1023), nullable=False),
        Column("public_key", LargeBinary(1024), nullable=False),
        Column("sign_count", BigInteger, nullable=False),
        Column("aaguid", String(36), nullable=False),
        Column("transports", String(128), nullable=False),
        Column("verified", Boolean, nullable=False),
        Column("backup_eligible", Boolean, nullable=False),
        Column("backed_up", Boolean, nullable=False),
        Column("name", String(100), nullable=False),
        Column("created_at", UTCDateTime, nullable=False),
        Column("last_used_at", UTCDateTime),
        UniqueConstraint("user_id", "credential_digest", name="uq_sigra_passkeys_credential"),
    )
    op.create_table(
        "sigra_passkeys_users",
        user_ref(primary_key=True),
        Column("handle", Digest(), nullable=False, unique=True),
    )

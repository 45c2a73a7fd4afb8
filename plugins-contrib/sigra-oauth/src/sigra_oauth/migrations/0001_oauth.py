"""Accounts of providers: attempts, identities, grants and tokens."""

from alembic import op
from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Text

from sigra.db import Digest, ExactText, Id, Sealed, UTCDateTime, user_ref

revision = "oauth_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "sigra_oauth_attempts",
        Column("id", Id(), primary_key=True),
        Column("state_digest", Digest(), nullable=False, unique=True),
        Column("browser_digest", Digest(), nullable=False, unique=True),
        Column("provider", String(32), nullable=False),
        Column("intent", String(16), nullable=False),
        user_ref(nullable=True),
        Column("session_id", Id(), index=True),
        Column("next", String(2048)),
        Column("remember", Boolean, nullable=False),
        Column("begun_at", UTCDateTime, nullable=False),
        Column("claimed_at", UTCDateTime),
        Column("waits_for", String(16)),
        Column("address_digest", Digest(), index=True),
        Column("answer", Sealed()),
        Column("expires_at", UTCDateTime, nullable=False, index=True),
    )
    op.create_table(
        "sigra_oauth_identities",
        Column("id", Id(), primary_key=True),
        user_ref(),
        Column("key_digest", Digest(), nullable=False, unique=True),
        Column("provider", String(32), nullable=False),
        Column("issuer", ExactText(255), nullable=False),
        Column("subject", ExactText(255), nullable=False),
        Column("email", String(254)),
        Column("email_verified", Boolean, nullable=False),
        Column("name", String(200)),
        Column("created_at", UTCDateTime, nullable=False),
        Column("last_used_at", UTCDateTime, nullable=False),
    )
    identity = ForeignKey("sigra_oauth_identities.id", ondelete="CASCADE")
    op.create_table(
        "sigra_oauth_grants",
        Column("id", Id(), primary_key=True),
        Column("identity_id", Id(), identity, nullable=False, index=True),
        Column("session_id", Id(), index=True),
        Column("provider_session", ExactText(255), index=True),
        Column("id_token", Sealed()),
        Column("created_at", UTCDateTime, nullable=False, index=True),
    )
    identity = ForeignKey("sigra_oauth_identities.id", ondelete="CASCADE")
    op.create_table(
        "sigra_oauth_tokens",
        Column("identity_id", Id(), identity, primary_key=True),
        Column("access_token", Sealed(), nullable=False),
        Column("refresh_token", Sealed()),
        Column("scope", Text),
        Column("expires_at", UTCDateTime),
        Column("version", Id(), nullable=False),
        Column("leased_until", UTCDateTime),
    )
    op.create_table(
        "sigra_oauth_revocations",
        Column("id", Id(), primary_key=True),
        Column("provider", String(32), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("token", Sealed(), nullable=False),
        Column("tries", Integer, nullable=False),
        Column("due_at", UTCDateTime, nullable=False, index=True),
        Column("expires_at", UTCDateTime, nullable=False),
    )
    op.create_table(
        "sigra_oauth_logouts",
        Column("id", Id(), primary_key=True),
        Column("token_digest", Digest(), nullable=False, unique=True),
        Column("whose_digest", Digest(), nullable=False, index=True),
        Column("heard_at", UTCDateTime, nullable=False),
        Column("expires_at", UTCDateTime, nullable=False, index=True),
    )

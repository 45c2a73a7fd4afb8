"""The tables of the core and of the built-in plugins."""

import sqlalchemy as sa
from alembic import op

from sigra.db.migrations import create_missing
from sigra.db.schema import user_ref
from sigra.db.types import Digest, ExactText, Id, JSONText, UTCDateTime

revision = "0001"
down_revision = None

metadata = sa.MetaData()

sa.Table(
    "sigra_users",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("email", sa.String(254)),
    sa.Column("email_canonical", ExactText(254), unique=True),
    sa.Column("email_verified_at", UTCDateTime),
    sa.Column("name", sa.String(200)),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("security_version", sa.BigInteger, nullable=False),
    sa.Column("locale", sa.String(35)),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
)

sa.Table(
    "sigra_pending_sign_ins",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("token_digest", Digest, nullable=False, unique=True),
    user_ref(),
    sa.Column("security_version", sa.BigInteger, nullable=False),
    sa.Column("login", JSONText, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False),
)

sa.Table(
    "sigra_tokens",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("purpose", ExactText(64), nullable=False),
    sa.Column("digest", Digest, nullable=False, unique=True),
    user_ref(nullable=True),
    sa.Column("subject", ExactText(254)),
    sa.Column("code_digest", Digest),
    sa.Column("code_tries", sa.Integer, nullable=False),
    sa.Column("payload", JSONText, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False),
    sa.UniqueConstraint("purpose", "subject", name="uq_sigra_tokens_subject"),
)

sa.Table(
    "sigra_outbox",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("phase", ExactText(16), nullable=False),
    sa.Column("kind", ExactText(64), nullable=False),
    sa.Column("recipient", sa.String(254), nullable=False),
    user_ref(nullable=True),
    sa.Column("languages", sa.String(128)),
    sa.Column("context", JSONText, nullable=False),
    sa.Column("mint", JSONText),
    sa.Column("minted_at", UTCDateTime),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("due_at", UTCDateTime, nullable=False, index=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("dead_at", UTCDateTime),
    sa.Column("problem", sa.String(200)),
)

sa.Table(
    "sigra_jobs",
    metadata,
    sa.Column("name", ExactText(64), primary_key=True),
    sa.Column("due_at", UTCDateTime, nullable=False),
)

sa.Table(
    "sigra_limits",
    metadata,
    sa.Column("id", Digest, primary_key=True),
    sa.Column("taken", JSONText, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False, index=True),
)

sa.Table(
    "sigra_sessions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    user_ref(),
    sa.Column("digest", Digest, nullable=False, unique=True),
    sa.Column("amr", sa.String(255), nullable=False),
    sa.Column("assurance", sa.String(8), nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("authenticated_at", UTCDateTime),
    sa.Column("last_used_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False, index=True),
    sa.Column("idle_seconds", sa.Integer, nullable=False),
    sa.Column("remembered", sa.Boolean, nullable=False),
    sa.Column("unfamiliar", sa.Boolean, nullable=False),
    sa.Column("user_agent", sa.Text),
    sa.Column("ip", sa.String(45)),
)

sa.Table(
    "sigra_passwords",
    metadata,
    user_ref(primary_key=True),
    sa.Column("hash", sa.String(255), nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
)

sa.Table(
    "sigra_api_keys",
    metadata,
    sa.Column("id", Id, primary_key=True),
    user_ref(),
    sa.Column("digest", Digest, nullable=False, unique=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("last_four", sa.String(4), nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime),
    sa.Column("last_used_at", UTCDateTime),
)

sa.Table(
    "sigra_email_changes",
    metadata,
    user_ref(primary_key=True),
    sa.Column("id", Id, nullable=False),
    sa.Column("new_email", sa.String(254), nullable=False),
    sa.Column("old_email", sa.String(254)),
    sa.Column("security_version", sa.BigInteger, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False, index=True),
)

sa.Table(
    "sigra_account_deletions",
    metadata,
    user_ref(primary_key=True),
    sa.Column("requested_at", UTCDateTime, nullable=False),
    sa.Column("erase_at", UTCDateTime, nullable=False, index=True),
)

sa.Table(
    "sigra_magic_links",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("email_canonical", ExactText(254), index=True),
    sa.Column("browser_digest", Digest, nullable=False, unique=True),
    sa.Column("remember", sa.Boolean, nullable=False),
    sa.Column("next", sa.String(2048)),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False, index=True),
)

sa.Table(
    "sigra_signups",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("email_canonical", ExactText(254), nullable=False, index=True),
    sa.Column("password_hash", sa.String(255)),
    sa.Column("name", sa.String(200)),
    sa.Column("fields", JSONText, nullable=False),
    sa.Column("next", sa.String(2048)),
    sa.Column("browser_digest", Digest, nullable=False, unique=True),
    user_ref(nullable=True),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False, index=True),
)

sa.Table(
    "sigra_known_browsers",
    metadata,
    sa.Column("id", Id, primary_key=True),
    user_ref(),
    sa.Column("digest", Digest, nullable=False, index=True),
    sa.Column("network", sa.String(49)),
    sa.Column("session_id", Id),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("seen_at", UTCDateTime, nullable=False),
    sa.Column("ended_at", UTCDateTime),
    sa.UniqueConstraint("user_id", "digest", name="uq_sigra_known_browsers_user"),
)

sa.Table(
    "sigra_recovery_codes",
    metadata,
    sa.Column("id", Id, primary_key=True),
    user_ref(),
    sa.Column("digest", Digest, nullable=False, unique=True),
    sa.Column("created_at", UTCDateTime, nullable=False),
)

sa.Table(
    "sigra_trusted_browsers",
    metadata,
    sa.Column("id", Id, primary_key=True),
    user_ref(),
    sa.Column("digest", Digest, nullable=False, index=True),
    sa.Column("user_agent", sa.Text),
    sa.Column("ip", sa.String(45)),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("last_used_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False, index=True),
    sa.UniqueConstraint("user_id", "digest", name="uq_sigra_trusted_browsers_user"),
)

sa.Table(
    "sigra_second_factor",
    metadata,
    user_ref(primary_key=True),
    sa.Column("demand", sa.String(16)),
    sa.Column("noticed_at", UTCDateTime),
)

sa.Table(
    "sigra_second_factor_removals",
    metadata,
    user_ref(primary_key=True),
    sa.Column("id", Id, nullable=False),
    sa.Column("requested_at", UTCDateTime, nullable=False),
    sa.Column("remove_at", UTCDateTime, nullable=False, index=True),
)


def upgrade() -> None:
    create_missing(op.get_bind(), metadata)

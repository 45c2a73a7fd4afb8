"""Column types that mean the same on every database; revisions use them too, so what is here never changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, LargeBinary, String, Text, TypeDecorator, Uuid
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

MYSQL = ("mysql", "mariadb")
"""SQLAlchemy's two names for one dialect."""


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC, to the microsecond: aware in, aware out. Naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # Without a precision MySQL and MariaDB round to seconds.
        kind = mysql.DATETIME(fsp=6) if dialect.name in MYSQL else DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("a time without a zone cannot be stored: use an aware one, as auth.clock() returns")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JSONText(TypeDecorator[dict[str, Any]]):
    """A JSON object as text: MariaDB has no JSON type of its own that could be compared after a migration."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else json.loads(value)


def Id() -> TypeEngine[Any]:
    """A UUID; text on MariaDB too, so that `mysql:` and `mariadb:` URLs see one schema."""
    return Uuid().with_variant(Uuid(native_uuid=False), *MYSQL)


def Digest() -> TypeEngine[bytes]:
    """The 32 bytes that a secret is stored as; of fixed length on MySQL, which cannot index a BLOB as a whole."""
    return LargeBinary(32).with_variant(mysql.BINARY(32), *MYSQL)


def ExactText(length: int) -> TypeEngine[str]:
    """Text that is compared code point by code point, whatever the database's collation."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, *MYSQL)

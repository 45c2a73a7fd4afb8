"""Column types that mean the same on every database; revisions use them too, so what is here never changes."""

from __future__ import annotations

import json
import uuid
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

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JSONText(TypeDecorator[dict[str, Any]]):
    """A JSON object as text: MariaDB has no JSON type of its own that could be compared after a migration."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, _: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, _: Dialect) -> dict[str, Any] | None:
        return None if value is None else json.loads(value)


class Id(TypeDecorator[uuid.UUID]):
    """A UUID; text on MariaDB too, so that `mysql:` and `mariadb:` URLs see one schema."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Uuid(native_uuid=dialect.name not in MYSQL))


class Digest(TypeDecorator[bytes]):
    """The 32 bytes that a secret is stored as; of fixed length on MySQL, which cannot index a BLOB as a whole."""

    impl = LargeBinary(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(mysql.BINARY(32) if dialect.name in MYSQL else LargeBinary(32))


class Sealed(TypeDecorator[bytes]):
    """What `auth.vault` has sealed; `sigra keys rotate` finds it by its type, and its table has one primary key."""

    impl = LargeBinary
    cache_ok = True


class ExactText(TypeDecorator[str]):
    """Text that is compared code point by code point, whatever the database's collation."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name not in MYSQL:
            return dialect.type_descriptor(String(self.length))
        return dialect.type_descriptor(mysql.VARCHAR(self.length, charset="utf8mb4", collation="utf8mb4_bin"))

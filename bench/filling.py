"""Rows to look up: users, sessions and keys, made the way that Sigra makes them, then multiplied in the database."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.applications import sigra_settings
from sigra import Sigra
from sigra.plugins.api_keys import APIKeys
from sigra.plugins.sessions import Sessions
from sigra.testing import create_tables


@dataclass(frozen=True)
class Filled:
    """What can be presented."""

    cookies: list[str]
    keys: list[str]


async def fill(url: str, count: int, known: int = 256) -> Filled:
    """As many users, each with a session and a key; the secrets of the first `known`."""
    async with Sigra(sigra_settings(url)) as auth:
        await create_tables(auth)
        sessions = [auth.tokens.mint("session") for _ in range(count)]
        keys = [auth.tokens.mint("api_key", "sigra_sk_") for _ in range(count)]
        users = [_user(auth, number) for number in range(count)]
        users_table = auth.metadata.tables["sigra_users"]
        session_rows = [_session(auth, user, one.digest) for user, one in zip(users, sessions, strict=True)]
        key_rows = [_key(auth, user, one.digest) for user, one in zip(users, keys, strict=True)]

        async def write(tx: AsyncConnection) -> None:
            await tx.execute(insert(users_table), users)
            await tx.execute(insert(auth.plugin(Sessions).table), session_rows)
            await tx.execute(insert(auth.plugin(APIKeys).table), key_rows)

        await auth.db.transaction(write)
        await auth.db.transaction(lambda tx: tx.execute(text("ANALYZE")))
    return Filled([one.text for one in sessions[:known]], [one.text for one in keys[:known]])


async def multiply(url: str, factor: int) -> None:
    """As many sessions for each that is there."""
    async with Sigra(sigra_settings(url)) as auth:
        table = auth.plugin(Sessions).table
        names = [column.name for column in table.columns]
        others = [name for name in names if name not in ("id", "digest")]
        if url.startswith("sqlite"):
            series = f"WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {factor - 1})"
            new = "lower(hex(randomblob(16))), randomblob(32)"
        else:
            series = f"WITH series AS (SELECT generate_series(1, {factor - 1}) AS n)"
            new = "gen_random_uuid(), sha256(digest || n::text::bytea)"
        columns = ", ".join(others)
        source = f"{series} SELECT {new}, {columns} FROM {table.name}, series"
        statement = f"INSERT INTO {table.name} (id, digest, {columns}) {source}"
        await _patiently(auth, statement)
        await _patiently(auth, "ANALYZE")


async def _patiently(auth: Sigra, statement: str) -> None:
    """A statement that takes longer than a transaction may."""
    async with auth.db.migrating() as tx:
        await tx.execute(text(statement))


def _user(auth: Sigra, number: int) -> dict[str, Any]:
    now, email = auth.clock(), f"user{number}@example.com"
    return {
        "id": uuid.uuid4(),
        "email": email,
        "email_canonical": email,
        "email_verified_at": now,
        "name": f"User {number}",
        "status": "active",
        "security_version": 0,
        "locale": None,
        "created_at": now,
        "updated_at": now,
    }


def _session(auth: Sigra, user: dict[str, Any], digest: bytes) -> dict[str, Any]:
    now = auth.clock()
    return {
        "id": uuid.uuid4(),
        "user_id": user["id"],
        "digest": digest,
        "amr": '["pwd"]',
        "assurance": "aal1",
        "created_at": now,
        "authenticated_at": now,
        "last_used_at": now,
        "expires_at": now + timedelta(days=1),
        "idle_seconds": 86400,
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "ip": "127.0.0.1",
    }


def _key(auth: Sigra, user: dict[str, Any], digest: bytes) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "user_id": user["id"],
        "digest": digest,
        "name": "benchmark",
        "scopes": '["reports:read"]',
        "last_four": secrets.token_hex(2),
        "created_at": auth.clock(),
        "expires_at": None,
        "last_used_at": auth.clock(),
    }

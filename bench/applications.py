"""The applications under load: each answers 200 to a request of somebody, 401 to one of nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from serving import serve
from sqlalchemy import make_url

from bench import raw
from sigra import Settings, Sigra
from sigra.crypto import KeyRing
from sigra.settings import LimitsSettings, PasswordSettings
from sigra.testing import create_tables, make_user

SECRET_KEY = "a-key-for-benchmarks-known-to-everybody"  # noqa: S105  (that is what it is)
PASSWORD = "correct horse battery staple"  # noqa: S105  (everybody's)
PURPOSE = "session"
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"11")]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answers."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


async def private(scope: Any, receive: Any, send: Any) -> None:
    """Answers those who are somebody."""
    if scope["type"] == "http" and scope["sigra.user"] is None:
        await send({"type": "http.response.start", "status": 401, "headers": HEADERS})
        await send({"type": "http.response.body", "body": b'{"ok":none}'})
        return
    await bare(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


def sigra_settings(url: str, **options: Any) -> Settings:
    usual = {"secret_keys": [SECRET_KEY], "base_url": "http://localhost", "database_url": url}
    return Settings(**{**usual, **options})


def sigra(url: str) -> Any:
    return Sigra(sigra_settings(url)).wrap(private)


def digest(secret: str) -> bytes:
    return KEYS.digest(PURPOSE, secret)


KEYS = KeyRing([SECRET_KEY])


def driver_url(url: str) -> str:
    """The URL, or for SQLite the path, as the raw driver takes it."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.database or ""
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def coalesced(url: str) -> Any:
    start = raw.sqlite_coalesced if url.startswith("sqlite") else raw.asyncpg_coalesced
    return raw.RawApplication(private, start(driver_url(url)), digest)


def single(url: str) -> Any:
    start = raw.sqlite_plain if url.startswith("sqlite") else raw.asyncpg_pool
    return raw.RawApplication(private, start(driver_url(url)), digest)


def signing_in(at_once: int) -> Sigra:
    """With room for so many passwords in line, and without limits: they would refuse what is all of one account."""
    limits, password = LimitsSettings(enabled=False), PasswordSettings(queue=at_once)
    return Sigra(sigra_settings("sqlite:///:memory:", limits=limits, password=password))


def sign_ins(at_once: str) -> Any:
    """An application with one account."""
    auth = signing_in(int(at_once))
    app = auth.wrap(bare)

    async def prepared(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await create_tables(auth)
            await make_user(auth, "ada@example.com", PASSWORD)
        await app(scope, receive, send)

    return prepared


APPLICATIONS: dict[str, Callable[[str], Any]] = {
    "bare": lambda _: bare,
    "coalesced": coalesced,
    "single": single,
    "sigra": sigra,
    "sign-ins": sign_ins,
}

if __name__ == "__main__":
    serve(APPLICATIONS[sys.argv[1]](sys.argv[2]))

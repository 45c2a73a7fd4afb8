"""What the tests of sign-up and of proof share: a browser more, a sign-up, and all the work that an answer costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import argon2
import httpx2
import pytest
from sqlalchemy import event, func, select

from sigra.testing import PASSWORD, Client
from tests.apps import Postbox

EMAIL = "ada@example.com"
OTHER = "a train of thought leaves at nine"


def browser(client: Client) -> Client:
    """Another browser of the same application."""
    return Client(client.app, client.sigra)


async def sign_up(client: Client, email: str = EMAIL, password: str | None = PASSWORD, **more: Any) -> httpx2.Response:
    body = {"email": email, "password": password, **more}
    return await client.post("/auth/signup", json={name: value for name, value in body.items() if value is not None})


async def mailed(client: Client, box: Postbox, email: str = EMAIL, password: str | None = PASSWORD, **more: Any) -> str:
    """Sign up, and the token that comes by mail."""
    await client.sigra.worker.work()  # what waited before
    assert (await sign_up(client, email, password, **more)).status_code == 202
    await client.sigra.worker.work()
    return box.token()


async def verify(client: Client, token: str, **more: Any) -> httpx2.Response:
    return await client.post("/auth/email/verify", json={"token": token, **more})


async def log_in(client: Client, password: str = PASSWORD, email: str = EMAIL, **more: Any) -> httpx2.Response:
    return await client.post("/auth/login", json={"email": email, "password": password, **more})


async def works(client: Client, password: str, email: str = EMAIL) -> bool:
    """Whether a password opens the account, in a browser that is nobody's yet."""
    return (await log_in(browser(client), password, email)).status_code == 200


async def rows(client: Client) -> dict[str, int]:
    """How many rows each table has."""
    found = {}
    async with client.sigra.db.connect() as tx:
        for name, table in client.sigra.metadata.tables.items():
            found[name] = await tx.scalar(select(func.count()).select_from(table)) or 0
    return found


@dataclass
class Work:
    """What is done for one answer."""

    statements: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def take(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What was done since the last time."""
        done = tuple(self.statements), tuple(self.hashes)
        self.statements.clear()
        self.hashes.clear()
        return done


@contextmanager
def watched(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Note every statement and every hash."""
    work = Work()

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        work.statements.append(statement)

    for name in ("hash", "verify"):
        monkeypatch.setattr(argon2.PasswordHasher, name, _counting(work, name, getattr(argon2.PasswordHasher, name)))
    engine = client.sigra.db._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield work
    event.remove(engine, "before_cursor_execute", note)


def _counting(work: Work, name: str, deed: Any) -> Any:
    def counted(*args: Any, **more: Any) -> Any:
        work.hashes.append(name)
        return deed(*args, **more)

    return counted


def seen(response: httpx2.Response) -> tuple[Any, ...]:
    """What an answer tells, without the secrets that are new in every one."""
    kept = {name: value for name, value in response.headers.items() if name not in ("date", "set-cookie")}
    cookies = [cookie.partition("=")[0] for cookie in response.headers.get_list("set-cookie")]
    body = {name: value for name, value in response.json().items() if not name.endswith("_token")}
    return response.status_code, kept, cookies, body

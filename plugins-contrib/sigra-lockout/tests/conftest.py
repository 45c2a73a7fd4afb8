"""What the tests of locks do all the time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import argon2
import httpx2
import pytest
from sqlalchemy import func, select

from sigra import User
from sigra.plugins.password import Password
from sigra.testing import Client

WRONG = "not the password"


class Crowd:
    """Everybody else: each try comes from a browser that nobody knows.

    Args:
        client: The owner's, whose application is tried.
    """

    def __init__(self, client: Client) -> None:
        self.client, self.auth = client, client.sigra

    def browser(self, number: int = 0, **options: Any) -> Client:
        address = (f"198.51.{100 + number // 250}.{1 + number % 250}", 50_000)
        return Client(self.client.app, self.auth, address=address, **options)

    async def guess(self, email: str = "ada@example.com", password: str = WRONG, number: int = 0) -> httpx2.Response:
        """One try, by the client of that number."""
        return await self.browser(number).post("/auth/login", json={"email": email, "password": password})

    async def lock(self, email: str = "ada@example.com") -> None:
        """As many wrong tries as lock the address."""
        for _ in range(5):
            assert (await self.guess(email)).status_code == 401

    async def rows(self, table: str = "sigra_lockout") -> int:
        async with self.auth.db.connect() as tx:
            return await tx.scalar(select(func.count()).select_from(self.auth.metadata.tables[table])) or 0

    async def hash_of(self, user: User) -> str:
        stored = await self.auth.plugin(Password).hash_of(self.auth, user)
        assert stored is not None
        return stored


@pytest.fixture
def crowd() -> type[Crowd]:
    return Crowd


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each stored hash was compared with something."""
    compared: Counter[str] = Counter()
    verify = argon2.PasswordHasher.verify

    def counting(hasher: argon2.PasswordHasher, hash: str, secret: bytes) -> bool:
        compared[hash] += 1
        return verify(hasher, hash, secret)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting)
    return compared

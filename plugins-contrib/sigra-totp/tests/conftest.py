"""What the tests of authenticator apps do all the time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx2
import pyotp
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import Auth, Challenge, Login, User, hookimpl
from sigra.testing import Client


class Phone:
    """An authenticator app, which knows what it read from the QR code and nothing else."""

    def __init__(self, otpauth_uri: str) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(otpauth_uri).query).items()}
        self.secret = query["secret"]
        digest = getattr(hashlib, query.get("algorithm", "SHA1").lower())
        digits, period = int(query.get("digits", "6")), int(query.get("period", "30"))
        self.totp = pyotp.TOTP(self.secret, digits=digits, digest=digest, interval=period)

    def code(self, at: datetime, steps: int = 0) -> str:
        """What it shows then, or so many steps later."""
        return self.totp.at(at, counter_offset=steps)

    def wrong(self, at: datetime) -> str:
        """What it shows at no time near."""
        near = {self.code(at, steps) for steps in range(-2, 3)}
        return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)

    @classmethod
    async def scan(cls, client: Client, **body: Any) -> Self:
        """Begin an enrolment."""
        answer = await client.post("/auth/totp/enroll", json=body)
        assert answer.status_code == 200, answer.text
        return cls(answer.json()["otpauth_uri"])

    @classmethod
    async def add(cls, client: Client) -> Self:
        """Add an app to whoever is signed in; the code is then spent."""
        phone = await cls.scan(client)
        answer = await phone.confirm(client)
        assert answer.status_code == 200, answer.text
        return phone

    async def confirm(self, client: Client, steps: int = 0, **body: Any) -> httpx2.Response:
        code = self.code(client.sigra.clock(), steps)
        return await client.post("/auth/totp/confirm", json={"code": code, **body})

    async def prove(self, client: Client, steps: int = 0, **body: Any) -> httpx2.Response:
        """Give the code of now, or of so many steps later, to the sign-in that waits."""
        code = self.code(client.sigra.clock(), steps)
        return await client.post("/auth/login/totp", json={"code": code, **body})


class Demand:
    """A policy: everybody needs a second factor."""

    name, api = "demand", 1

    @hookimpl
    async def challenges_for_login(self, auth: Auth, tx: AsyncConnection, login: Login) -> Sequence[Challenge] | None:
        has_one = any(its.kind == "mfa" for its in await auth.authenticators.of(tx, login.user))
        return None if has_one or login.enrolling else [Challenge("enrollment", None, waivable=False)]


async def row_of(client: Client, user: User) -> Any:
    """What is kept of a user's app."""
    table = client.sigra.metadata.tables["sigra_totp"]
    async with client.sigra.db.connect() as tx:
        return (await tx.execute(select(table).where(table.c.user_id == user.id))).mappings().first()


@pytest.fixture
def phones() -> type[Phone]:
    return Phone


@pytest.fixture
def demand() -> Demand:
    return Demand()


@pytest.fixture
def kept() -> Any:
    return row_of

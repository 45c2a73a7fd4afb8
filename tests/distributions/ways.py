"""Every way to a credential that an installation with two strangers has, and the house in which they are tried."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from sigra import Sigra, User
from sigra.testing import EMAIL, PASSWORD, Client, application


@dataclass(frozen=True)
class Way:
    """A route that signs in, with the right proof and a wrong one."""

    path: str
    right: Mapping[str, str]
    wrong: Mapping[str, str]


PASSWORD_WAY = Way("/login", {"email": EMAIL, "password": PASSWORD}, {"email": EMAIL, "password": "a wrong password"})
BADGE_WAY = Way("/badge", {"number": "4711", "pin": "2468"}, {"number": "4711", "pin": "1357"})
CARELESS_WAY = Way("/careless", {"email": EMAIL, "word": "sesame"}, {"email": EMAIL, "word": "poppy"})

every_way = pytest.mark.parametrize(
    "way", [PASSWORD_WAY, BADGE_WAY, CARELESS_WAY], ids=["password", "badge", "careless"]
)


@dataclass(frozen=True)
class House:
    """An installation with one user."""

    auth: Sigra
    user: User

    def client(self, **options: Any) -> Client:
        """A new client; errors that leave the application are 500s."""
        return Client(self.auth.wrap(application), self.auth, raises=False, **options)

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        query = select(func.count()).select_from(self.auth.metadata.tables[table])
        async with self.auth.db.connect() as tx:
            return int((await tx.execute(query)).scalar_one())

    async def issued(self) -> int:
        """How many sessions and pending sign-ins there are."""
        return await self.count("sigra_sessions") + await self.count("sigra_pending_sign_ins")


async def post(client: Client, path: str, body: Mapping[str, Any]) -> httpx2.Response:
    """Post JSON below the mount path."""
    return await client.post(client.path(path), json=dict(body))


def badge_of(auth: Sigra) -> Any:
    """The badge plugin; its module is there only while it is installed."""
    return next(one.plugin for one in auth.plugins if one.name == "badge")


def outcome(response: httpx2.Response) -> tuple[int, str]:
    """Status, and what the answer calls itself."""
    body = response.json() if response.content else {}
    return response.status_code, body.get("code") or body.get("status", "")

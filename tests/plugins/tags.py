"""A factor that people add and take away, kept in memory: what recovery codes and trusted browsers stand beside."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, Authenticator, Challenge, InvalidCredentials, Login, Route, User, hookimpl, requires
from sigra.testing import Client


class Proof(BaseModel):
    code: str
    trust_browser: bool = False


@dataclass
class Tag:
    """Met by the code `right`.

    Args:
        waivable: Whether a trusted browser may be spared it.
    """

    waivable: bool = True
    name: str = "tag"
    api: int = 1
    of: dict[uuid.UUID, set[str]] = field(default_factory=lambda: defaultdict(set))

    @hookimpl
    async def challenges_for_login(self, login: Login) -> Sequence[Challenge]:
        return [Challenge("mfa", "tag", self.waivable)] * bool(self.of[login.user.id])

    @hookimpl
    async def authenticators_for_user(self, user: User) -> Sequence[Authenticator]:
        return [_tag(name) for name in sorted(self.of[user.id])]

    @hookimpl
    async def forget_factors(self, user: User) -> None:
        self.of[user.id].clear()

    @hookimpl
    async def forget_authenticators(self, user: User) -> None:
        self.of[user.id].clear()

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        async def add(request: Request) -> Response:
            async def change(tx: AsyncConnection, user: User) -> dict[str, Any]:
                name = request.path_params["name"]
                self.of[user.id].add(name)
                return {"name": name, **await auth.authenticators.added(tx, user, _tag(name), request)}

            await requires(fresh=True)(request)
            return await auth.renew(request, change, page="account", status=201)

        async def remove(request: Request) -> Response:
            async def change(tx: AsyncConnection, user: User) -> None:
                self.of[user.id].remove(request.path_params["name"])
                await auth.authenticators.removed(tx, user, _tag(request.path_params["name"]), request)

            await requires(fresh=True)(request)
            return await auth.renew(request, change)

        async def prove(request: Request) -> Response:
            login = await auth.pending(request)
            async with auth.attempt(request, method="tag", user=login.user):
                body = await auth.read(request, Proof)
                if body.code != "right":
                    raise InvalidCredentials
            passed = login.passed("tag", amr="otp", meets=("mfa",))
            return await auth.sign_in(request, replace(passed, trust_browser=body.trust_browser))

        return [
            Route("/tags/{name}", add, methods=["POST"]),
            Route("/tags/{name}", remove, methods=["DELETE"]),
            Route("/login/tag", prove, methods=["POST"]),
        ]


def _tag(name: str) -> Authenticator:
    return Authenticator("mfa", "tag", name, f"Tag {name}")


async def add_tag(client: Client, user: User, name: str = "blue") -> list[str]:
    """Sign in and add a tag; the recovery codes that come with it."""
    await client.sign_in(user)
    added = await client.post(f"/auth/tags/{name}", json={})
    assert added.status_code == 201
    codes: list[str] = added.json().get("recovery_codes", [])
    return codes


async def challenged(client: Client, user: User) -> httpx2.Response:
    """A sign-in by password, as far as it goes, of nobody who is signed in."""
    await client.sign_out()
    return await client.sign_in(user)


async def proven(client: Client, user: User, **fields: Any) -> httpx2.Response:
    """A sign-in by password and tag."""
    await challenged(client, user)
    return await client.post("/auth/login/tag", json={"code": "right", **fields})

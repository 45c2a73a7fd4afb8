"""Test plugins: a factor, and policies that a stranger might write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import (
    Action,
    Attempt,
    Auth,
    Challenge,
    Event,
    InvalidCredentials,
    Issued,
    Login,
    Refused,
    Route,
    SignIn,
    hookimpl,
)


class Code(BaseModel):
    code: str


@dataclass
class Factor:
    """A challenge that the right code meets: `kind` by the method of the plugin's name."""

    name: str = "factor"
    kind: str = "mfa"
    amr: str = "otp"
    waivable: bool = True
    api: int = 1
    tried: list[str] = field(default_factory=list)

    @hookimpl
    async def challenges_for_login(self) -> Sequence[Challenge]:
        return [Challenge(self.kind, self.name, self.waivable)]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        async def prove(request: Request) -> Response:
            login = await auth.pending(request)
            async with auth.attempt(request, method=self.name, user=login.user):
                self.tried.append((await auth.read(request, Code)).code)
                if self.tried[-1] != "right":
                    raise InvalidCredentials
            return await auth.sign_in(request, login.passed(self.name, amr=self.amr, meets=(self.kind,)))

        return [Route(f"/login/{self.name}", prove, methods=["POST"])]


class Meeting:
    """Holds the attempts of one method until so many are there: all have found what only some may use."""

    name, api = "meeting", 1

    def __init__(self, method: str, count: int) -> None:
        self.method, self.all = method, asyncio.Barrier(count)

    @hookimpl
    async def before_attempt(self, attempt: Attempt) -> None:
        if attempt.method == self.method:
            await self.all.wait()


@dataclass
class Waiver:
    """Lifts kinds."""

    kinds: Collection[str]
    name: str = "waiver"
    api: int = 1

    @hookimpl
    async def waivers_for_login(self) -> Collection[str]:
        return self.kinds


@dataclass
class Ban:
    """Refuses to let a user in."""

    email: str
    name: str = "ban"
    api: int = 1

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if isinstance(action, SignIn) and action.user.email == self.email:
            raise Refused("Banned.")


@dataclass
class Block:
    """Has every proof count as wrong."""

    name: str = "block"
    api: int = 1

    @hookimpl
    async def before_attempt(self) -> None:
        raise InvalidCredentials


@dataclass
class Recorder:
    """Takes down everything that it is told."""

    name: str = "recorder"
    api: int = 1
    attempts: list[Attempt] = field(default_factory=list)
    recorded: list[Event] = field(default_factory=list)
    handled: list[Event] = field(default_factory=list)

    @hookimpl
    async def before_attempt(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    @hookimpl
    async def record_event(self, event: Event) -> None:
        self.recorded.append(event)

    @hookimpl
    async def handle_event(self, event: Event) -> None:
        self.handled.append(event)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.recorded]


@dataclass
class Carrier:
    """Issues a bearer text in place of a cookie."""

    name: str = "carrier"
    api: int = 1
    carriers: tuple[str, ...] = ("ticket",)

    @hookimpl
    async def issue_credential(self, auth: Auth, tx: AsyncConnection, login: Login) -> Issued:
        return Issued(body={"ticket": "issued"})


@dataclass
class Door:
    """A sign-in route without a proof, for what comes after it: `open` decides how `sign_in` is called."""

    open: Callable[[Auth, Request], Any]
    name: str = "door"
    api: int = 1

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        async def enter(request: Request) -> Response:
            response: Response = await self.open(auth, request)
            return response

        return [Route("/door", enter, methods=["POST"])]

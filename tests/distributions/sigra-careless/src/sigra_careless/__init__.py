"""One word for everybody: a sign-in that forgets about limits, locks, bans, second factors and audit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, InvalidCredentials, Login, Route, hookimpl

WORD = "sesame"


class Body(BaseModel):
    """Who, and the word."""

    email: str
    word: str


class Careless:
    """Calls nothing of the seam but `auth.sign_in`."""

    name = "careless"
    api = 1

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [Route("/careless", partial(self.enter, auth), methods=["POST"])]

    async def enter(self, auth: Auth, request: Request) -> Response:
        """POST /careless."""
        body = await auth.read(request, Body)
        user = await auth.users.by_email(body.email)
        if user is None or body.word != WORD:
            raise InvalidCredentials
        return await auth.sign_in(request, Login(user, ("pwd",)))

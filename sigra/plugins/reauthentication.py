"""Re-authentication: whoever is signed in proves it again, all of it, and goes on in a new session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from sigra.answers import HTML, SIGN_IN
from sigra.errors import Conflict
from sigra.guards import current_user
from sigra.hookspecs import hookimpl, render_page
from sigra.http.routing import Route
from sigra.models import Login, Part, User
from sigra.plugins.pages import Pages
from sigra.plugins.password import Password
from sigra.protocols import Auth

PAGE = "reauthenticate"
WITHOUT = "This account has no password. Sign in again, in the way in which you did."


class Proof(BaseModel):
    """The body of a re-authentication; whose password it is, the session says."""

    password: Annotated[str, Field(max_length=1024, repr=False)]
    next: Annotated[str | None, Field(max_length=2048)] = None


class Reauthentication:
    """Takes the password again, and has the page where every plugin offers its way to prove who one is."""

    name = "reauthentication"
    api = 1

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        path = f"/{PAGE}"
        prove = Route(path, partial(self.prove, auth), methods=["POST"], secured=True, body=Proof, answers=SIGN_IN)
        show = Route(path, partial(self.show, auth), name=PAGE, secured=True, answers={200: HTML, 303: None})
        return [*[prove] * auth.has(Password), *[show] * auth.has(Pages)]

    async def prove(self, auth: Auth, request: Request) -> Response:
        """POST /reauthenticate: prove it again; 202 when the account asks for more. The session gets a new id."""
        user = await current_user(request)
        body = await auth.read(request, Proof)
        password = auth.plugin(Password)
        if not await password.has_one(auth, user):
            raise Conflict(WITHOUT)
        async with auth.attempt(request, method="password", user=user) as attempt:
            await password.prove(auth, attempt, user, body.password)
            return await auth.sign_in(request, Login(user, ("pwd",), methods=("password",), next=body.next))

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /reauthenticate: the page on which who is signed in proves it again."""
        response = await auth.first(render_page, request=request, page=PAGE, context={"error": None}, status=200)
        assert response is not None
        return response

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page != PAGE or user is None or not auth.has(Password):
            return None
        if not await auth.plugin(Password).has_one(auth, user):
            return None
        return [Part("main", 100, "reauthentication/password.html")]

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page != PAGE or request.scope["sigra.user"] is None:
            return None
        return await auth.render(
            request, "reauthentication/reauthenticate.html", {"posted": page, **context}, status, page=page
        )

"""Litestar: the user is in the scope, and a guard says no in Litestar's way.

Run it with `uvicorn litestar_app:app`.
"""

from litestar import Litestar, Request, get
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

from sigra import Sigra


def signed_in(connection: ASGIConnection, _: BaseRouteHandler) -> None:
    if connection.scope["sigra.user"] is None:
        raise NotAuthorizedException("Sign in to continue.")


@get("/")
async def home(request: Request) -> str:
    user = request.scope["sigra.user"]
    return f"Hello, {user.email if user else 'stranger'}!"


@get("/private", guards=[signed_in])
async def private(request: Request) -> str:
    return f"For {request.scope['sigra.user'].email} alone."


auth = Sigra.from_settings()
app = auth.wrap(Litestar(route_handlers=[home, private]))

"""Starlette: the guard `current_user` takes the request.

Run it with `uvicorn starlette_app:app`.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sigra import Sigra, current_user


async def home(request: Request) -> PlainTextResponse:
    user = request.scope["sigra.user"]
    return PlainTextResponse(f"Hello, {user.email if user else 'stranger'}!")


async def private(request: Request) -> PlainTextResponse:
    user = await current_user(request)
    return PlainTextResponse(f"For {user.email} alone.")


auth = Sigra.from_settings()
app = auth.wrap(Starlette(routes=[Route("/", home), Route("/private", private)]))

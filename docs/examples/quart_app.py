"""Quart: the user is in the scope of the request.

Run it with `uvicorn quart_app:app`.
"""

from quart import Quart, abort, request

from sigra import Sigra

quart = Quart(__name__)


@quart.get("/")
async def home() -> str:
    user = request.scope["sigra.user"]
    return f"Hello, {user.email if user else 'stranger'}!"


@quart.get("/private")
async def private() -> str:
    user = request.scope["sigra.user"]
    if user is None:
        abort(401)
    return f"For {user.email} alone."


auth = Sigra.from_settings()
app = auth.wrap(quart)

"""No framework: a function of the ASGI specification.

Run it with `uvicorn bare_app:app`.
"""

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from sigra import Sigra, current_user


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/private":
        # What it raises is answered by Sigra: a 401, or the sign-in page for a person.
        user = await current_user(Request(scope))
        answer = PlainTextResponse(f"For {user.email} alone.")
    else:
        user = scope["sigra.user"]
        answer = PlainTextResponse(f"Hello, {user.email if user else 'stranger'}!")
    await answer(scope, receive, send)


auth = Sigra.from_settings()
app = auth.wrap(application)

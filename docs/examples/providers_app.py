"""Accounts of providers: a button for each that sigra.toml or SIGRA_OAUTH__PROVIDERS names, in Starlette.

Run it with `uvicorn providers_app:app`; it wants `sigra-oauth`.
"""

from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from sigra import Sigra, current_user
from sigra_oauth import OAuth

BUTTON = """
<form method="post" action="/auth/oauth/{name}/start">
<input type="hidden" name="next" value="/private">
<button>Continue with {label}</button>
</form>
"""


async def home(request: Request) -> HTMLResponse:
    user = request.scope["sigra.user"]
    if user is not None:
        return HTMLResponse(f"Hello, {escape(user.email or '')}!")
    providers = auth.plugin(OAuth).providers.values()
    buttons = [BUTTON.format(name=one.name, label=escape(one.label)) for one in providers]
    return HTMLResponse("".join(["Hello, stranger!", *buttons]))


async def private(request: Request) -> HTMLResponse:
    user = await current_user(request)
    return HTMLResponse(f"For {escape(user.email or '')} alone.")


auth = Sigra.from_settings(["defaults", "oauth"])
app = auth.wrap(Starlette(routes=[Route("/", home), Route("/private", private)]))

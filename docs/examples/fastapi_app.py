"""FastAPI: `CurrentUser` for whoever must be signed in, `OptionalUser` for whoever may be.

Run it with `uvicorn fastapi_app:app`.
"""

from fastapi import FastAPI

from sigra import Sigra
from sigra.integrations.fastapi import CurrentUser, OptionalUser

api = FastAPI()
auth = Sigra.from_settings()
app = auth.wrap(api)


@api.get("/")
async def home(user: OptionalUser) -> str:
    return f"Hello, {user.email if user else 'stranger'}!"


@api.get("/private")
async def private(user: CurrentUser) -> str:
    return f"For {user.email} alone."

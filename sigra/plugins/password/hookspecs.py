"""What the password plugin asks of others."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from sigra.hookspecs import hookspec
from sigra.plugins.password.credentials import Credentials
from sigra.protocols import Auth


@hookspec
async def answer_without_account(auth: Auth, request: Request, credentials: Credentials) -> Response | None:
    """First: return the answer to credentials that fit no account; None for the usual 401.

    Asked at every sign-in by password, before it is known whether they fit an account, which goes first. No
    transaction is open. What it costs must not depend on whether the address has an account.
    """

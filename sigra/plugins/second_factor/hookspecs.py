"""What the policy asks of others."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.hookspecs import hookspec
from sigra.models import User
from sigra.plugins.second_factor.shapes import Demand
from sigra.protocols import Auth


@hookspec
async def second_factor_demand(auth: Auth, tx: AsyncConnection, user: User) -> Demand | None:
    """Each: return whether the user must have a second factor, None for no demand; the strongest answer holds.

    `required`, or `always` where no browser may be spared it. Asked at every sign-in, and by the account page.
    """

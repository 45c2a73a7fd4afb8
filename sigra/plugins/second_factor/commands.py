"""What an administrator says about the second factor of one user."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.models import User
from sigra.plugins.second_factor.demands import Demands
from sigra.plugins.second_factor.removals import Removals
from sigra.plugins.second_factor.shapes import Demand, Options, SecondFactorDemanded
from sigra.protocols import Auth


class Commands:
    """`sigra users require-second-factor` and `remove-factors`."""

    def __init__(self, auth: Auth, demands: Demands, removals: Removals, options: Options) -> None:
        self.auth, self.demands, self.removals, self.options = auth, demands, removals, options

    def register(self, users: click.Group) -> None:
        """Add both to the group."""

        @users.command("require-second-factor")
        @click.argument("email")
        @click.option("--always", is_flag=True, help="No browser of theirs is spared it.")
        @click.option("--lift", is_flag=True, help="Choose them no longer.")
        async def require(email: str, always: bool, lift: bool) -> None:
            """Choose a user who must have a second factor, asked for from the next sign-in on."""
            if always and lift:
                raise click.UsageError("Say --always or --lift.")
            demand: Demand | None = None if lift else "always" if always else "required"
            await self.auth.db.transaction(partial(self._choose, email, demand))
            click.echo(self._said(email, demand))

        @users.command("remove-factors")
        @click.argument("email")
        @click.option("--now", is_flag=True, help="Do not wait: you have made sure in another way of who asks.")
        async def remove(email: str, now: bool) -> None:
            """Remove the second factors of a user who has lost them all.

            The owner is told by mail, and can stop it until the wait is over.
            """
            at = await self.auth.db.transaction(partial(self._remove, email, now))
            if at is None:
                click.echo(f"Removed the second factors of {email}; all sessions ended.")
                return
            click.echo(f"The second factors of {email} will be removed at {at:%Y-%m-%d %H:%M} UTC.")
            click.echo("A sign-in with one of them stops it, and so does the link that was mailed to the owner.")

    async def _choose(self, email: str, demand: Demand | None, tx: AsyncConnection) -> None:
        user = await self._locked(email, tx)
        if (await self.demands.of(tx, user)).demand == demand:
            return
        await self.demands.choose(tx, user, demand)
        await self.auth.emit(tx, SecondFactorDemanded(user_id=user.id, metadata={"demand": demand}))

    def _said(self, email: str, demand: Demand | None) -> str:
        if demand == "always":
            return f"{email} must have a second factor, and no browser is spared it."
        if demand == "required":
            return f"{email} must have a second factor."
        if self.options.demand == "optional":
            return f"{email} is chosen no longer."
        return f"{email} is chosen no longer; SIGRA_SECOND_FACTOR__DEMAND is {self.options.demand} for everybody."

    async def _remove(self, email: str, now: bool, tx: AsyncConnection) -> datetime | None:
        user = await self._locked(email, tx)
        if not any(one.kind == "mfa" for one in await self.auth.authenticators.of(tx, user)):
            raise click.ClickException(f"{email} has no second factor.")
        if now:
            await self.removals.remove(self.auth, tx, user)
            return None
        return await self.removals.request(self.auth, tx, user, self.options.removal_wait)

    async def _locked(self, email: str, tx: AsyncConnection) -> User:
        found = await self.auth.users.by_email(email, tx)
        user = None if found is None else await self.auth.users.lock(tx, found.id)
        if user is None:
            raise click.ClickException(f"There is no account of {email}.")
        return user

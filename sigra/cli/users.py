"""`sigra users`: the part that needs no plugin."""

from __future__ import annotations

from functools import partial

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.cli.host import Host
from sigra.cli.printing import print_table
from sigra.core import Sigra
from sigra.models import User


def own_commands() -> dict[str, click.Command]:
    """New commands for the group that plugins add to."""
    return {"list": list_users, "disable": disable, "enable": enable}


@click.command("list")
@click.pass_obj
async def list_users(host: Host) -> None:
    """List the accounts, the oldest first."""
    accounts = await host.auth.users.list()
    print_table([{"id": str(one.id), "email": one.email or "-", "status": one.status} for one in accounts])


@click.command("disable")
@click.argument("email")
@click.pass_obj
async def disable(host: Host, email: str) -> None:
    """Disable an account and end all that it was issued: sessions, keys and sign-ins under way."""
    user = await host.auth.db.transaction(partial(_disable, host.auth, email))
    click.echo(f"Disabled {user.email}.")


async def _disable(auth: Sigra, email: str, tx: AsyncConnection) -> User:
    user = await _locked(auth, email, tx)
    if user.status != "disabled":
        user = await auth.users.set_status(tx, user, "disabled")
    await auth.revoke(tx, user, "disabled")
    return user


@click.command("enable")
@click.argument("email")
@click.pass_obj
async def enable(host: Host, email: str) -> None:
    """Let a disabled account sign in again; what was ended stays ended."""
    user = await host.auth.db.transaction(partial(_enable, host.auth, email))
    click.echo(f"Enabled {user.email}.")


async def _enable(auth: Sigra, email: str, tx: AsyncConnection) -> User:
    user = await _locked(auth, email, tx)
    if user.status == "closing":
        raise click.ClickException(f"The account of {email} is being closed: its owner has the link that stops it.")
    return user if user.status == "active" else await auth.users.set_status(tx, user, "active")


async def _locked(auth: Sigra, email: str, tx: AsyncConnection) -> User:
    """The account, that nobody else changes until the transaction ends."""
    found = await auth.users.by_email(email, tx)
    user = None if found is None else await auth.users.lock(tx, found.id)
    if user is None:
        raise click.ClickException(f"There is no account of {email}.")
    return user

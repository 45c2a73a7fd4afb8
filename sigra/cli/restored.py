"""`sigra db restored`: nothing that a restored backup brings back is worth anything."""

from __future__ import annotations

import secrets
from collections import Counter
from functools import partial

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra import hookspecs
from sigra.cli.host import Host
from sigra.core import Sigra
from sigra.db.restored import end_own
from sigra.db.unclaimed import unclaimed
from sigra.events import DatabaseRestored

QUESTION = (
    "This ends every session, key, mailed link, sign-up and change that waits, of every account, for good. "
    "Is the application stopped, and the backup in place?"
)

PASSWORDS_STAY = (
    "Passwords are those of the backup: one that was changed since is the old one again. "
    "`sigra db restored --passwords` ends them too; people then choose new ones by mail."
)

LOOK_AT = (
    "What else the backup undid only you can know: accounts that were disabled, deleted or made since, and addresses "
    "that were changed. If keys of the ring were retired since, leave them out."
)


@click.command()
@click.option("--passwords", is_flag=True, help="End all passwords, too: people choose new ones by mail.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
async def restored(host: Host, passwords: bool, yes: bool) -> None:
    """Make all that a restored backup brought back worthless, before the application starts on it.

    Sessions that were signed out, keys that were revoked and links that were used after the backup was taken would be
    good again. All of them end, whenever they were issued.
    """
    if not yes:
        click.confirm(QUESTION, abort=True)
    ended = await end_all(host.auth, passwords=passwords)
    for what, number in ended.items():
        click.echo(f"{what}: {number}")
    for name in await unknown_tables(host.auth):
        click.echo(f"{name} was left as it is: its plugin is not active. Switch it on and run this again.", err=True)
    click.echo(LOOK_AT if passwords else f"{PASSWORDS_STAY}\n{LOOK_AT}")


async def end_all(auth: Sigra, *, passwords: bool) -> dict[str, int]:
    """End what the core and the active plugins issued, all of it or nothing; how many of what."""
    return await auth.db.transaction(partial(_end_all, auth, passwords), patient=True)


async def _end_all(auth: Sigra, passwords: bool, tx: AsyncConnection) -> dict[str, int]:
    # The core's first: a plugin may have something to write to the owner of an account.
    ended = Counter(await end_own(tx, auth.metadata, secrets.token_bytes))
    for its in await auth.each(hookspecs.end_restored, tx=tx, passwords=passwords):
        ended.update(its)
    found = dict(sorted(ended.items()))
    await auth.emit(tx, DatabaseRestored(metadata={"ended": found, "passwords": passwords}))
    return found


async def unknown_tables(auth: Sigra) -> list[str]:
    """Tables of ours that nobody active knows, with rows that nobody ended."""
    async with auth.db.connect() as tx:
        return [table.name for table in await unclaimed(tx, auth.metadata)]

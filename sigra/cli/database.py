"""`sigra db`: the migrations of the core and of the active plugins."""

from __future__ import annotations

import click
from sqlalchemy import Table

from sigra.cli.host import Host
from sigra.cli.printing import print_table
from sigra.core import Sigra
from sigra.db import migrations
from sigra.db.schema import PREFIX


@click.group()
def db() -> None:
    """Upgrade and check the database."""


@db.command()
@click.pass_obj
async def upgrade(host: Host) -> None:
    """Bring the tables of the core and of the active plugins to their newest form."""
    auth = host.auth
    before = await migrations.current(auth.db, auth.lineages())
    await migrations.upgrade(auth.db, auth.lineages())
    for name, revision in migrations.newest(auth.lineages()).items():
        done = f"stays at {revision}" if before[name] == revision else f"{before[name] or 'empty'} -> {revision}"
        click.echo(f"{name}: {done}")


@db.command()
@click.pass_obj
async def current(host: Host) -> None:
    """Show where each distribution's tables are, and where they could be."""
    auth = host.auth
    newest = migrations.newest(auth.lineages())
    found = await migrations.current(auth.db, auth.lineages())
    print_table([{"distribution": name, "current": found[name], "newest": newest[name]} for name in newest])


@db.command()
@click.pass_obj
async def check(host: Host) -> None:
    """Compare the database with what the core and the active plugins expect; your own tables are left out."""
    wrong = [*await behind(host.auth), *await migrations.check(host.auth.db, own_tables(host.auth))]
    for line in wrong:
        click.echo(line)
    if wrong:
        raise click.ClickException("The database differs: `sigra db upgrade` brings missing revisions.")
    click.echo("The database is as it should be.")


async def behind(auth: Sigra) -> list[str]:
    """The distributions whose tables are not at their newest revision, a sentence each."""
    found = await migrations.current(auth.db, auth.lineages())
    newest = migrations.newest(auth.lineages())
    return [
        f"{name} is at {found[name] or 'nothing'}, not {newest[name]}" for name in newest if found[name] != newest[name]
    ]


def own_tables(auth: Sigra) -> list[Table]:
    """The tables of the core and of the active plugins, without the host's."""
    return [table for table in auth.metadata.tables.values() if table.name.startswith(PREFIX)]

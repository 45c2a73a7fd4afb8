"""`sigra db`: the migrations of the core and of the active plugins."""

from __future__ import annotations

from collections.abc import Sequence

import click
from sqlalchemy import Table

from sigra.cli.host import Host
from sigra.cli.printing import print_table
from sigra.cli.restored import restored
from sigra.core import Sigra
from sigra.db import migrations
from sigra.db.schema import PREFIX

APPEND_ONLY = "append_only"
"""In the `info` of a table: its rows are added, and never changed nor deleted by the application."""

READ = ("SELECT",)
ADD = ("SELECT", "INSERT")
ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


@click.group()
def db() -> None:
    """Upgrade and check the database."""


db.add_command(restored)


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


@db.command()
@click.option("--role", metavar="NAME", default="sigra_app", show_default=True, help="The application's role.")
@click.pass_obj
def harden(host: Host, role: str) -> None:
    """Print grants under which the application can add to append-only tables, and not change them.

    Run them as the owner of the tables, who is another role: it goes on to do what the application then cannot, which
    is to upgrade the database and to delete what a retention has ended. Make the role first; your own tables are not
    among them.
    """
    auth = host.auth
    if not role.isprintable() or not role:
        raise click.BadParameter("a role has a name without control characters.", param_hint="--role")
    rights: dict[str, Sequence[str]] = {
        table.name: ADD if table.info.get(APPEND_ONLY) else ALL for table in own_tables(auth)
    }
    rights |= {lineage.version_table: READ for lineage in auth.lineages()}
    for statement in auth.db.dialect.grants(role, rights):
        click.echo(statement)


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

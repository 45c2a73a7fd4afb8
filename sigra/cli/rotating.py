"""What `sigra keys rotate` does: every sealed column, one after the other."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import Column

from sigra.core import Sigra
from sigra.db.rotation import Rotation, count_others, sealed_columns
from sigra.db.unclaimed import unclaimed
from sigra.errors import SealBroken


async def rotate_all(auth: Sigra) -> int:
    """Seal all values anew, and say so; how many are left that are not under the first key."""
    async with auth.db.connect() as tx:
        columns = await sealed_columns(tx, auth.metadata)
    left = [await _rotate(auth, column) for column in columns]
    if not columns:
        click.echo("Nothing is sealed: no active plugin has a column for it.")
    return sum(left) + await _count_unclaimed(auth)


async def _count_unclaimed(auth: Sigra) -> int:
    """Values of plugins that are not active, whose place in a row is theirs to know."""
    older = [header for header in auth.vault.known if header != auth.vault.first]
    left = 0
    async with auth.db.connect() as tx:
        for table in await unclaimed(tx, auth.metadata):
            if count := await table.count_sealed(tx, older):
                click.echo(f"{table.name}: {count} left, its plugin is not active. Switch it on for this.", err=True)
                left += count
    return left


async def _rotate(auth: Sigra, column: Column[Any]) -> int:
    place = f"{column.table.name}.{column.name}"
    broken: list[SealBroken] = []

    def told(error: SealBroken) -> None:
        broken.append(error)
        click.echo(str(error), err=True)

    done = await Rotation(auth.db, auth.vault, column, told).run()
    async with auth.db.connect() as tx:
        left = await count_others(tx, column, [auth.vault.first])
    click.echo(f"{place}: {done} sealed anew, {len(broken)} do not open")
    if left > len(broken):
        click.echo(
            f"{place}: others write under an older key. Restart every process with the new key first, "
            "and run this again.",
            err=True,
        )
    return left

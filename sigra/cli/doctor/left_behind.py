"""Whether accounts depend on a plugin that is not there any more."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra
from sigra.db.unclaimed import Unclaimed, unclaimed

NAMED = 20
"""Accounts that are named for each table."""


async def findings(auth: Sigra) -> list[Finding]:
    """The tables of plugins that are not active which have rows of accounts."""
    async with auth.db.connect() as tx:
        found = [await _look(auth, tx, table) for table in await unclaimed(tx, auth.metadata)]
    return [finding for its in found for finding in its]


async def _look(auth: Sigra, tx: AsyncConnection, table: Unclaimed) -> list[Finding]:
    count = await table.count_accounts(tx)
    if not count:
        return []
    return [_told(table.name, count, await table.accounts(tx, auth.metadata.tables["sigra_users"], NAMED))]


def _told(table: str, count: int, accounts: Sequence[str]) -> Finding:
    more = f", and {count - len(accounts)} more" if count > len(accounts) else ""
    return Finding(
        table,
        f"Its plugin is not active, and it has rows of {count} {'accounts' if count > 1 else 'account'}: "
        f"{', '.join(accounts)}{more}. What it stood for has no effect on them: a second factor that was kept here "
        "is not asked for, and who signed in by it alone cannot. Nor are the rows exported or erased with the account.",
        "Install its plugin and switch it on again (or name your application by --app, if that brings it in code); "
        "or delete the rows, when that is meant to stay so.",
    )

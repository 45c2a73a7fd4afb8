"""Whether the application could change what it is only to add to."""

from __future__ import annotations

from sigra.cli.database import APPEND_ONLY, own_tables
from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra


async def findings(auth: Sigra) -> list[Finding]:
    """The append-only tables whose rows the application's own role may change."""
    async with auth.db.connect() as tx:
        return [
            Finding(
                table.name,
                "The application's role in the database may change and delete its rows, which are only to be added to.",
                "Give the application a role of its own, with the grants that `sigra db harden` prints.",
            )
            for table in own_tables(auth)
            if table.info.get(APPEND_ONLY) and await auth.db.dialect.may_rewrite(tx, table)
        ]

"""Deleting what has ended, in batches: no lock is held for long, and no transaction grows with the table."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

BATCH = 1000


async def delete_batch(tx: AsyncConnection, table: Table, ended: ColumnElement[bool]) -> bool:
    """Delete at most 1,000 rows of a table with an `id`; whether more may be left.

    Args:
        ended: Which rows; looked at again by the statement that deletes, so that one that was prolonged stays.
    """
    ids = list(await tx.scalars(select(table.c.id).where(ended).limit(BATCH)))
    if ids:
        await tx.execute(delete(table).where(table.c.id.in_(ids), ended))
    return len(ids) == BATCH

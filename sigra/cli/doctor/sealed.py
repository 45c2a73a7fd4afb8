"""Whether what is encrypted at rest can be read, and without keys that are to retire."""

from __future__ import annotations

from collections.abc import Iterator

from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra
from sigra.db.rotation import count_others, sealed_columns

SUBJECT = "SIGRA_SECRET_KEYS"


async def findings(auth: Sigra) -> list[Finding]:
    """The columns with values under unknown keys, and those with values under others than the first."""
    async with auth.db.connect() as tx:
        counted = [
            (
                f"{column.table.name}.{column.name}",
                await count_others(tx, column, auth.vault.known),
                await count_others(tx, column, [auth.vault.first]),
            )
            for column in await sealed_columns(tx, auth.metadata)
        ]
    return [finding for counts in counted for finding in _told(*counts)]


def _told(place: str, unknown: int, others: int) -> Iterator[Finding]:
    if unknown:
        yield Finding(
            SUBJECT,
            f"{unknown} of the values of {place} do not open: their key is not among these.",
            "Put it back, behind the first one; where it is lost, delete those rows, and their users begin anew.",
        )
    if others > unknown:
        yield Finding(
            SUBJECT,
            f"{others - unknown} of the values of {place} are not under the first key.",
            "Run `sigra keys rotate` before you remove another one.",
        )

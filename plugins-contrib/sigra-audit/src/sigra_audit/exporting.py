"""Rows for people and for programs: JSON lines, and CSV that a spreadsheet does not run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from sigra import Auth
from sigra_audit.entries import FIELDS, entry_of, first_id
from sigra_audit.redaction import escaped
from sigra_audit.tables import Tables

PAGE = 1000

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With what a cell begins that a spreadsheet computes (OWASP, "CSV Injection"), in both widths."""

COLUMNS = (*FIELDS, "position", "hash")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows.

    Args:
        since: Written then or later.
        until: Written before.
        user_id: About this account, or done by its user.
        pseudonyms: One of these stands for the address that was tried.
    """

    since: datetime | None = None
    until: datetime | None = None
    user_id: str | None = None
    pseudonyms: Sequence[str] = ()

    def conditions(self, tables: Tables) -> list[ColumnElement[bool]]:
        """For the query."""
        entries = tables.entries
        found: list[ColumnElement[bool]] = []
        if self.since is not None:
            found.append(entries.c.id >= first_id(self.since))
        if self.until is not None:
            found.append(entries.c.id < first_id(self.until))
        if self.user_id is not None:
            found.append(or_(entries.c.subject_id == self.user_id, entries.c.actor_id == self.user_id))
        if self.pseudonyms:
            found.append(or_(*(entries.c.metadata.contains(one, autoescape=True) for one in self.pseudonyms)))
        return found


async def records(auth: Auth, tables: Tables, selection: Selection) -> AsyncIterator[dict[str, Any]]:
    """The rows in the order of their ids, a page at a time."""
    entries, seals = tables.entries, tables.seals
    query = (
        select(entries, seals.c.position, seals.c.hash)
        .select_from(entries.outerjoin(seals, seals.c.entry_id == entries.c.id))
        .where(*selection.conditions(tables))
        .order_by(entries.c.id)
        .limit(PAGE)
    )
    page = query
    while True:
        async with auth.db.connect() as tx:
            rows = (await tx.execute(page)).mappings().all()
        for row in rows:
            yield record(row)
        if len(rows) < PAGE:
            return
        page = query.where(entries.c.id > rows[-1]["id"])


def record(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row with its place in the chain, as JSON values."""
    hash = row["hash"]
    return {**entry_of(row).record(), "position": row["position"], "hash": None if hash is None else hash.hex()}


def json_line(record: Mapping[str, Any]) -> str:
    """One line, all ASCII: nothing in it ends it, or speaks to a terminal."""
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"))


def csv_line(values: Sequence[Any]) -> str:
    """One line of CSV (RFC 4180), every cell quoted and none of them a formula."""
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow([_cell(value) for value in values])
    return line.getvalue()


def csv_record(record: Mapping[str, Any]) -> str:
    """A row as a line of CSV."""
    return csv_line([record[name] for name in COLUMNS])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    # A cell that begins with a blank is computed too, where blanks are taken off.
    return escaped(f"'{text}" if text.lstrip().startswith(_FORMULA) else text)

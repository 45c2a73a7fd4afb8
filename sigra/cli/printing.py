"""Rows for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

Row = Mapping[str, object]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_rows(name: str, rows: Sequence[Row], as_json: bool) -> None:
    """The rows as `{"<name>": [...]}` or as a table."""
    if as_json:
        click.echo(json.dumps({name: rows}, indent=2))
        return
    print_table(rows)


def print_table(rows: Sequence[Row]) -> None:
    """The rows below their names, in columns; nothing when there are none."""
    if not rows:
        return
    cells = [
        [name.upper().replace("_", " ") for name in rows[0]],
        *([_text(value) for value in row.values()] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    """A value as a cell shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str("" if value is None else value)
    return printable(text) or "-"


def printable(text: str) -> str:
    """The text on one line, without what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)

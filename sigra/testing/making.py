"""The statements that make a table, remembered: most installations of a run of tests have the same ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache

from sqlalchemy import CheckConstraint, Column, Constraint, Dialect, ForeignKeyConstraint, Table
from sqlalchemy.schema import ColumnCollectionConstraint, CreateIndex, CreateTable


class _Same:
    """A table that stands for all that are declared like it."""

    __slots__ = ("declared", "dialect", "table")

    def __init__(self, dialect: Dialect, table: Table) -> None:
        self.dialect, self.table = dialect, table
        # A table holds its constraints and indexes in sets, whose order is another every time.
        self.declared = (dialect.name, table.name, *map(_declared, table.columns), frozenset(_constraints(table)))

    def __hash__(self) -> int:
        return hash(self.declared)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.declared == other.declared


def making(dialect: Dialect, table: Table) -> Sequence[str]:
    """What makes the table and its indexes, where none of them is there."""
    return _compiled(_Same(dialect, table))


@lru_cache(maxsize=1024)
def _compiled(same: _Same) -> Sequence[str]:
    indexes = sorted(same.table.indexes, key=lambda index: str(index.name))
    elements: list[CreateTable | CreateIndex] = [CreateTable(same.table), *map(CreateIndex, indexes)]
    return [str(element.compile(dialect=same.dialect)) for element in elements]


def _declared(column: Column[object]) -> Hashable:
    default = column.server_default
    given = None if default is None else str(getattr(default, "arg", default))
    return (column.name, repr(column.type), column.nullable, column.autoincrement, given)


def _constraints(table: Table) -> Iterator[Hashable]:
    for index in table.indexes:
        yield index.name, index.unique, tuple(map(str, index.expressions))
    for one in table.constraints:
        yield type(one).__name__, one.name, _further(one)


def _further(one: Constraint) -> Hashable:
    if isinstance(one, CheckConstraint):
        return str(one.sqltext)
    if isinstance(one, ForeignKeyConstraint):
        return (one.ondelete, *one.column_keys, *(element.target_fullname for element in one.elements))
    return tuple(column.name for column in one.columns) if isinstance(one, ColumnCollectionConstraint) else None

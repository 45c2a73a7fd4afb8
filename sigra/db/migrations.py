"""Migrations: one Alembic lineage and one version table a distribution, so that each can come and go alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, ForeignKeyConstraint, MetaData, Table, UniqueConstraint
from sqlalchemy.schema import SchemaItem

from sigra.db.engine import Database
from sigra.db.schema import USERS, VERSIONS, own_names, users_table


@dataclass(frozen=True, slots=True)
class Lineage:
    """The revisions of one distribution.

    Args:
        distribution: Its name; names the version table.
        package: The package that holds the revisions, as `sigra_totp.migrations`.
    """

    distribution: str
    package: str

    @property
    def version_table(self) -> str:
        return f"{VERSIONS}{re.sub(r'[-_.]+', '_', self.distribution).lower()}"

    def scripts(self) -> ScriptDirectory:
        """The revisions, as Alembic sees them."""
        folder = next(iter(import_module(self.package).__path__))
        return ScriptDirectory(folder, version_locations=[folder])


CORE = Lineage("sigra", "sigra.migrations")


def create_missing(bind: Connection, metadata: MetaData) -> None:
    """Create the tables and indexes of `metadata` that are not there; for revisions.

    MySQL commits after each statement: a revision that was interrupted halfway goes on where it was.
    """
    metadata.create_all(bind, checkfirst=True)
    for table in metadata.sorted_tables:
        for index in table.indexes:
            index.create(bind, checkfirst=True)


async def upgrade(db: Database, lineages: Sequence[Lineage]) -> None:
    """Bring every lineage, in this order, to its newest revision, in one transaction where the database has such.

    Raises:
        Unavailable: Another process migrates, or the database cannot be reached.
    """
    async with db.migrating() as tx:
        for lineage in lineages:
            await tx.run_sync(_upgrade, lineage)


async def current(db: Database, lineages: Sequence[Lineage]) -> dict[str, str | None]:
    """The revision of each lineage in the database, by distribution; None for one that never ran."""
    async with db.connect() as tx:
        return {lineage.distribution: await tx.run_sync(_current, lineage) for lineage in lineages}


def newest(lineages: Sequence[Lineage]) -> dict[str, str | None]:
    """The newest revision that each distribution ships."""
    return {lineage.distribution: lineage.scripts().get_current_head() for lineage in lineages}


async def check(db: Database, tables: Iterable[Table]) -> list[str]:
    """What differs between the database and `tables`, a sentence each; nothing when all is well.

    Tables that are not among them, and the host's columns of `sigra_users`, are the host's business.
    """
    known = {table.name: table for table in tables}
    async with db.connect() as tx:
        return await tx.run_sync(_differences, known)


def _upgrade(connection: Connection, lineage: Lineage) -> None:
    scripts = lineage.scripts()

    def revisions(current: Any, _: MigrationContext) -> Any:
        # What Alembic's own command does; its public door wants an alembic.ini and an env.py in every distribution.
        return scripts._upgrade_revs("heads", current)  # noqa: SLF001

    with EnvironmentContext(Config(), scripts, fn=revisions, destination_rev="heads") as environment:
        environment.configure(connection=connection, version_table=lineage.version_table)
        environment.run_migrations()


def _current(connection: Connection, lineage: Lineage) -> str | None:
    options = {"version_table": lineage.version_table}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _differences(connection: Connection, tables: Mapping[str, Table]) -> list[str]:
    own = own_names()

    def is_ours(item: SchemaItem, name: str | None, kind: str, *_: object) -> bool:
        if kind == "table":
            return name in tables
        if _table_of(item) != USERS:
            return True
        columns = [item] if isinstance(item, Column) else list(getattr(item, "columns", ()))
        return all(column.name in own for column in columns)

    options = {"include_object": is_ours, "compare_type": True}
    context = MigrationContext.configure(connection, opts=options)
    found = list(_flat(compare_metadata(context, _declared(tables.values()))))
    missing = {what[0].name for kind, *what in found if kind == "add_table"}
    return [_sentence(kind, what) for kind, *what in found if _table_of(what[0]) not in missing]


def _declared(tables: Iterable[Table]) -> MetaData:
    """The tables without what is the host's: its columns of the users, and its naming convention."""
    declared = MetaData()
    users_table(declared)
    for table in tables:
        if table.name != USERS:
            table.to_metadata(declared)
    return declared


def _flat(differences: Iterable[Any]) -> Iterable[tuple[Any, ...]]:
    # Alembic gathers the changes of one column in a list.
    for difference in differences:
        if isinstance(difference, list):
            yield from difference
        else:
            yield difference


def _sentence(kind: str, what: Sequence[Any]) -> str:
    deed, _, item = kind.partition("_")
    if deed == "modify":
        return f"The {item} of column {what[1]}.{what[2]} is not as declared."
    thing = f"Column {what[1]}.{what[2].name}" if item == "column" else _described(what[0])
    return f"{thing} is {'missing in the database' if deed == 'add' else 'not as declared'}."


def _described(item: SchemaItem) -> str:
    if isinstance(item, Table):
        return f"Table {item.name}"
    place = f"on {_table_of(item)} ({', '.join(column.name for column in getattr(item, 'columns', ()))})"
    if isinstance(item, ForeignKeyConstraint):
        return f"The foreign key {place}"
    is_unique = isinstance(item, UniqueConstraint) or getattr(item, "unique", False)
    return f"The {'unique constraint' if is_unique else 'index'} {place}"


def _table_of(item: object) -> str | None:
    table = getattr(item, "table", None)
    return None if table is None else str(table.name)

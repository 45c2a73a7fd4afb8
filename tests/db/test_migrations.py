import asyncio
import sys
import textwrap

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sigra.db import Database, UserColumns, user_ref
from sigra.db.migrations import CORE, Lineage, check, current, newest, upgrade
from sigra.db.schema import core_tables
from sigra.errors import ConfigurationError, Unavailable

FIRST = """
    "First."
    import sqlalchemy as sa
    from sigra.db import user_ref
    from sigra.db.migrations import create_missing
    from alembic import op

    revision = "a1"
    down_revision = None
    metadata = sa.MetaData()
    sa.Table("sigra_clubs", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)))
    sa.Table(
        "sigra_members",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("club_id", sa.Integer, sa.ForeignKey("sigra_clubs.id", ondelete="CASCADE"), index=True),
    )

    def upgrade():
        create_missing(op.get_bind(), metadata)
"""

SECOND = """
    "Second."
    import sqlalchemy as sa
    from alembic import op

    revision = "a2"
    down_revision = "a1"

    def upgrade():
        with op.batch_alter_table("sigra_clubs", recreate={recreate!r}) as batch:
            batch.add_column(sa.Column("motto", sa.String(20), nullable=False, server_default="onward"))
            batch.alter_column("name", existing_type=sa.String(20), type_=sa.String(60))
"""


@pytest.fixture
def clubs(tmp_path, monkeypatch):
    """A plugin's lineage, whose revisions the test writes."""
    folder = tmp_path / "sigra_clubs" / "migrations"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield Lineage("Sigra-Clubs", "sigra_clubs.migrations"), folder
    for name in [name for name in sys.modules if name.startswith("sigra_clubs")]:
        del sys.modules[name]


def write(folder, name, revision):
    (folder / name).write_text(textwrap.dedent(revision))


def is_sqlite(db):
    return db.dialect.url.get_backend_name() == "sqlite"


async def names(db):
    async with db.connect() as tx:
        return set(await tx.run_sync(lambda connection: inspect(connection).get_table_names()))


async def rows(db, statement):
    async with db.connect() as tx:
        return [tuple(row) for row in await tx.execute(text(statement))]


async def test_the_first_upgrade_makes_what_the_core_declares(db):
    tables = core_tables(MetaData())

    await upgrade(db, [CORE])

    assert set(tables.names) <= await names(db)
    assert await check(db, tables.users.metadata.tables.values()) == []
    assert await current(db, [CORE]) == newest([CORE])


async def test_an_upgrade_can_be_repeated(db):
    await upgrade(db, [CORE])
    before = await names(db)

    await upgrade(db, [CORE])

    assert await names(db) == before


async def test_nothing_ran_yet_is_none(db):
    assert await current(db, [CORE]) == {"sigra": None}


async def test_each_distribution_has_a_version_table_of_its_own(db, clubs):
    lineage, folder = clubs
    write(folder, "a1.py", FIRST)

    await upgrade(db, [CORE, lineage])

    assert {"sigra_version_sigra", "sigra_version_sigra_clubs"} <= await names(db)
    assert await current(db, [CORE, lineage]) == {"sigra": newest([CORE])["sigra"], "Sigra-Clubs": "a1"}
    await upgrade(db, [CORE])


async def test_a_filled_database_is_migrated_with_its_rows_and_foreign_keys(db, clubs):
    lineage, folder = clubs
    write(folder, "a1.py", FIRST)
    await upgrade(db, [CORE, lineage])
    await fill(db)

    write(folder, "a2.py", SECOND.format(recreate="always" if is_sqlite(db) else "auto"))
    await upgrade(db, [CORE, lineage])

    assert await rows(db, "SELECT id, name, motto FROM sigra_clubs") == [(1, "Chess", "onward")]
    assert await rows(db, "SELECT id, club_id FROM sigra_members ORDER BY id") == [(1, 1), (2, 1)]
    with pytest.raises(IntegrityError):
        await db.transaction(lambda tx: tx.execute(text("INSERT INTO sigra_members (id, club_id) VALUES (3, 9)")))
    await db.transaction(lambda tx: tx.execute(text("DELETE FROM sigra_clubs")))
    assert await rows(db, "SELECT id FROM sigra_members") == []


async def fill(db):
    async def body(tx):
        await tx.execute(text("INSERT INTO sigra_clubs (id, name) VALUES (1, 'Chess')"))
        await tx.execute(text("INSERT INTO sigra_members (id, club_id) VALUES (1, 1), (2, 1)"))

    await db.transaction(body)


async def test_the_users_table_is_migrated_with_what_points_at_it(db, users, tables, clubs):
    lineage, folder = clubs
    user = await db.transaction(lambda tx: users.create(tx, email="anna@example.com"))
    metadata = tables.users.metadata
    badges = Table("badges", metadata, Column("id", Integer, primary_key=True), user_ref())
    async with db.migrating() as tx:
        await tx.run_sync(badges.create)
    await db.transaction(lambda tx: tx.execute(insert(badges).values(id=1, user_id=user.id)))

    write(folder, "a1.py", WIDER_NAME.format(recreate="always" if is_sqlite(db) else "auto"))
    await upgrade(db, [lineage])

    assert await users.by_email("anna@example.com") == user
    async with db.connect() as tx:
        assert await tx.scalar(select(badges.c.user_id)) == user.id


WIDER_NAME = """
    "Wider."
    import sqlalchemy as sa
    from alembic import op

    revision = "a1"
    down_revision = None

    def upgrade():
        with op.batch_alter_table("sigra_users", recreate={recreate!r}) as batch:
            batch.alter_column("name", existing_type=sa.String(200), type_=sa.String(210))
"""

BROKEN = """
    "Broken halfway."
    import sqlalchemy as sa
    from alembic import op

    revision = "a1"
    down_revision = None
    metadata = sa.MetaData()
    sa.Table("sigra_clubs", metadata, sa.Column("id", sa.Integer, primary_key=True))

    def upgrade():
        metadata.create_all(op.get_bind())
        raise RuntimeError("the power went")
"""


async def test_hc46_an_upgrade_that_was_interrupted_can_be_repeated(db, clubs):
    lineage, folder = clubs
    write(folder, "a1.py", BROKEN)
    with pytest.raises(RuntimeError, match="power"):
        await upgrade(db, [CORE, lineage])

    write(folder, "a1.py", FIRST.replace('"First."', '"First, mended."'))
    await upgrade(db, [CORE, lineage])

    assert await current(db, [CORE, lineage]) == {"sigra": newest([CORE])["sigra"], "Sigra-Clubs": "a1"}
    assert await check(db, core_tables(MetaData()).users.metadata.tables.values()) == []


@pytest.mark.databases("sqlite", "postgresql")
async def test_hc46_an_upgrade_that_fails_leaves_nothing(db, clubs):
    lineage, folder = clubs
    write(folder, "a1.py", BROKEN)

    with pytest.raises(RuntimeError, match="power"):
        await upgrade(db, [CORE, lineage])

    assert await names(db) == set()


@pytest.mark.databases("sqlite")
async def test_a_migration_that_breaks_foreign_keys_is_undone(db, clubs):
    lineage, folder = clubs
    write(folder, "a1.py", FIRST)
    await upgrade(db, [lineage])
    await fill(db)

    write(folder, "a2.py", LOSES_PARENTS)
    with pytest.raises(ConfigurationError, match=r"sigra_members .* sigra_clubs"):
        await upgrade(db, [lineage])

    assert await rows(db, "SELECT name FROM sigra_clubs") == [("Chess",)]
    assert await current(db, [lineage]) == {"Sigra-Clubs": "a1"}


LOSES_PARENTS = """
    "Loses the parents."
    from alembic import op

    revision = "a2"
    down_revision = "a1"

    def upgrade():
        op.execute("DELETE FROM sigra_clubs")
"""


async def test_one_of_many_upgrades_at_once_does_the_work(db, database, clubs):
    lineage, folder = clubs
    write(folder, "a1.py", FIRST)
    others = [Database(database) for _ in range(3)]

    await asyncio.gather(*(upgrade(one, [lineage]) for one in (db, *others)))

    assert await current(db, [lineage]) == {"Sigra-Clubs": "a1"}
    for other in others:
        await other.aclose()


async def test_a_host_with_columns_and_tables_of_its_own_has_no_differences(db):
    class Base(DeclarativeBase):
        pass

    class User(UserColumns, Base):
        plan: Mapped[str] = mapped_column(String(20), server_default="free", index=True)

    Table("orders", Base.metadata, Column("id", Integer, primary_key=True))
    tables = core_tables(Base.metadata)
    await upgrade(db, [CORE])

    assert await check(db, [table for name, table in Base.metadata.tables.items() if name in tables.names]) == []
    await db.transaction(lambda tx: tx.execute(text("ALTER TABLE sigra_users ADD COLUMN motto VARCHAR(20)")))
    await db.transaction(lambda tx: tx.execute(text("CREATE TABLE invoices (id INTEGER PRIMARY KEY)")))
    assert await check(db, [table for name, table in Base.metadata.tables.items() if name in tables.names]) == []


async def test_a_hosts_naming_convention_makes_no_difference(db):
    convention = {"ix": "ix__%(column_0_label)s", "uq": "uq__%(table_name)s", "fk": "fk__%(table_name)s"}
    tables = core_tables(MetaData(naming_convention=convention))
    await upgrade(db, [CORE])

    assert await check(db, tables.users.metadata.tables.values()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TABLE sigra_tokens", "Table sigra_tokens is missing in the database."),
        (
            "ALTER TABLE sigra_users DROP COLUMN locale",
            "Column sigra_users.locale is missing in the database.",
        ),
        (
            "ALTER TABLE sigra_tokens ADD COLUMN extra INTEGER",
            "Column sigra_tokens.extra is not as declared.",
        ),
    ],
)
async def test_what_differs_is_told(db, change, told):
    await upgrade(db, [CORE])
    tables = CORE.scripts().get_revision("0001").module.metadata.tables.values()
    assert await check(db, tables) == []

    await db.transaction(lambda tx: tx.execute(text(change)))

    assert await check(db, tables) == [told]


@pytest.mark.databases("sqlite", "postgresql")
async def test_a_missing_index_is_told(db):
    await upgrade(db, [CORE])
    tables = CORE.scripts().get_revision("0001").module.metadata.tables.values()

    await db.transaction(lambda tx: tx.execute(text("DROP INDEX ix_sigra_api_keys_user_id")))

    assert await check(db, tables) == ["The index on sigra_api_keys (user_id) is missing in the database."]


async def test_hc45_no_database_is_unavailable():
    with pytest.raises(Unavailable):
        await upgrade(Database("postgresql://root@127.0.0.1:1/nowhere"), [CORE])


async def test_an_error_of_a_revision_passes_unchanged(db, clubs):
    lineage, folder = clubs
    write(folder, "a1.py", LOSES_PARENTS.replace('"a1"', "None").replace('"a2"', '"a1"'))

    with pytest.raises(DBAPIError):
        await upgrade(db, [lineage])

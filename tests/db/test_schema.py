import secrets
import uuid

import pytest
from sqlalchemy import Column, Computed, Integer, MetaData, String, Table, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sigra.db import UserColumns, user_ref
from sigra.db.schema import core_tables, user_column, users_table
from sigra.db.users import UserTable
from sigra.errors import ConfigurationError
from tests.db.conftest import create_all


def host_base():
    class Base(DeclarativeBase):
        pass

    return Base


def test_the_table_is_made_when_the_host_has_none():
    metadata = MetaData()

    tables = core_tables(metadata)

    assert tables.users is metadata.tables["sigra_users"]
    assert set(tables.names) == set(metadata.tables)


def test_two_sigras_have_tables_of_their_own():
    assert core_tables(MetaData()).users is not core_tables(MetaData()).users


def test_a_hosts_class_with_further_columns_is_used():
    base = host_base()

    class User(UserColumns, base):
        plan: Mapped[str] = mapped_column(String(20), server_default="free")
        nickname: Mapped[str | None]
        shout: Mapped[str | None] = mapped_column(String(20), Computed("upper(plan)"))

    tables = core_tables(base.metadata)

    assert tables.users is User.__table__


async def test_a_hosts_columns_are_read_and_a_user_is_made_without_naming_them(db, clock, emitted):
    base = host_base()

    class User(UserColumns, base):
        plan: Mapped[str] = mapped_column(String(20), server_default="free")
        nickname: Mapped[str | None] = mapped_column(String(20))

    users = UserTable(core_tables(base.metadata).users, db, clock=clock, random=secrets.token_bytes, emit=emitted)
    await create_all(db, base.metadata)

    user = await db.transaction(lambda tx: users.create(tx, email="anna@example.com"))

    assert user.columns == {"plan": "free", "nickname": None}
    with pytest.raises(TypeError):
        user.columns["plan"] = "gold"
    assert await users.by_email("anna@example.com") == user


def test_hc49_a_hosts_column_that_sigra_cannot_fill_is_refused():
    base = host_base()

    class User(UserColumns, base):
        plan: Mapped[str] = mapped_column(String(20), default="free")

    with pytest.raises(ConfigurationError, match=r"sigra_users\.plan .* server default"):
        users_table(base.metadata)


def test_hc49_a_hosts_table_without_a_column_of_ours_is_refused():
    metadata = MetaData()
    Table("sigra_users", metadata, Column("id", Integer, primary_key=True))

    with pytest.raises(ConfigurationError, match=r"inherit sigra\.db\.UserColumns"):
        users_table(metadata)


def test_hc49_a_hosts_other_type_for_a_column_of_ours_is_refused():
    base = host_base()

    class User(UserColumns, base):
        email_canonical: Mapped[str | None] = mapped_column(String(80), unique=True)

    with pytest.raises(ConfigurationError, match=r"sigra_users\.email_canonical differs"):
        users_table(base.metadata)


def test_hc49_a_canonical_address_that_is_not_unique_is_refused():
    base = host_base()

    class User(UserColumns, base):
        email_canonical: Mapped[str | None] = mapped_column(UserColumns.email_canonical.column.type)

    with pytest.raises(ConfigurationError, match=r"sigra_users\.email_canonical differs"):
        users_table(base.metadata)


def test_hc48_another_table_of_our_prefix_is_a_conflict():
    metadata = MetaData()
    Table("sigra_sessions", metadata, Column("id", Integer, primary_key=True))

    with pytest.raises(ConfigurationError, match="sigra_sessions"):
        core_tables(metadata)


def test_a_metadata_with_a_schema_is_refused():
    with pytest.raises(ConfigurationError, match="schema"):
        core_tables(MetaData(schema="auth"))


def test_a_column_that_points_at_a_user_is_indexed_and_cascades():
    table = Table("badges", MetaData(), user_ref("owner_id"))

    [key] = table.c.owner_id.foreign_keys
    assert (key.target_fullname, key.ondelete) == ("sigra_users.id", "CASCADE")
    assert [list(index.columns) for index in table.indexes] == [[table.c.owner_id]]
    assert not table.c.owner_id.nullable


def test_a_primary_key_needs_no_second_index():
    assert not Table("badges", MetaData(), user_ref(primary_key=True)).indexes


def test_the_column_that_points_at_a_user_is_found():
    table = Table("badges", MetaData(), Column("id", Integer, primary_key=True), user_ref("owner_id"))

    assert user_column(table) is table.c.owner_id


def test_a_table_without_such_a_column_is_refused():
    with pytest.raises(ConfigurationError, match=r"badges .* user_ref"):
        user_column(Table("badges", MetaData(), Column("id", Integer, primary_key=True)))


async def test_hc08_rows_go_when_their_user_goes(db, tables, users):
    metadata = tables.users.metadata
    badges = Table("badges", metadata, Column("n", Integer, primary_key=True), user_ref())
    await create_all(db, metadata)
    user = await db.transaction(lambda tx: users.create(tx, email="anna@example.com"))
    await db.transaction(lambda tx: tx.execute(insert(badges).values(n=1, user_id=user.id)))

    await db.transaction(lambda tx: tx.execute(tables.users.delete()))

    async with db.connect() as tx:
        assert (await tx.execute(badges.select())).all() == []


async def test_a_row_cannot_point_at_nobody(db, tables, clock):
    nobody = uuid.uuid4()
    now = clock()
    times = {"created_at": now, "expires_at": now}
    row = {"id": nobody, "purpose": "x", "digest": bytes(32), "payload": {}, "code_tries": 0, **times}

    with pytest.raises(IntegrityError):
        await db.transaction(lambda tx: tx.execute(insert(tables.tokens).values(**row, user_id=nobody)))

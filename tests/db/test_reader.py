import asyncio
import secrets
import sqlite3
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Enum, Numeric, String, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sigra.db import Database, Digest, Id, Lookup, UserColumns, UTCDateTime, at_present, elapsed, user_ref
from sigra.db.schema import core_tables
from sigra.errors import Unavailable
from tests.db.conftest import create_all


class Base(DeclarativeBase):
    pass


class Owner(UserColumns, Base):
    balance: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    born: Mapped[datetime | None] = mapped_column(Date)
    seen: Mapped[datetime | None] = mapped_column(DateTime)
    extra: Mapped[dict | None] = mapped_column(JSON)
    kind: Mapped[str | None] = mapped_column(Enum("cat", "dog", name="kind"))
    trusted: Mapped[bool | None] = mapped_column(Boolean)


NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
OWNER = {
    "id": uuid.UUID(int=7),
    "email": "ada@example.com",
    "email_canonical": "ada@example.com",
    "email_verified_at": NOW,
    "name": None,
    "status": "active",
    "security_version": 3,
    "created_at": NOW,
    "updated_at": NOW,
    "balance": Decimal("12.50"),
    "born": NOW.date(),
    "seen": NOW.replace(tzinfo=None),
    "extra": {"a": [1, None]},
    "kind": "dog",
    "trusted": True,
}


@pytest.fixture
async def badges(db):
    metadata = Base.metadata
    core = core_tables(metadata)
    table = Base.metadata.tables.get("badges")
    if table is None:
        from sqlalchemy import Table

        table = Table(
            "badges",
            metadata,
            Column("id", Id, primary_key=True),
            user_ref("owner_id"),
            Column("digest", Digest, nullable=False, unique=True),
            Column("level", String(8), nullable=False),
            Column("at", UTCDateTime),
            Column("empty", UTCDateTime),
        )
    await create_all(db, metadata)
    await db.transaction(lambda tx: tx.execute(insert(core.users), OWNER))
    yield table
    for name in set(core.names) - {core.users.name}:
        metadata.remove(metadata.tables[name])


async def badge(db, badges):
    digest = secrets.token_bytes(32)
    row = {"id": uuid.uuid4(), "owner_id": OWNER["id"], "digest": digest, "level": "gold", "at": NOW, "empty": None}
    await db.transaction(lambda tx: tx.execute(insert(badges).values(row)))
    return row


async def test_every_value_is_what_sqlalchemy_would_return(db, badges):
    row = await badge(db, badges)

    found = await Lookup(badges, badges.c.digest).find(db, [row["digest"]])

    users = Base.metadata.tables["sigra_users"]
    async with db.connect() as tx:
        expected = (await tx.execute(select(badges))).mappings().one()
        owner = (await tx.execute(select(users))).mappings().one()
    assert [(name, type(value), value) for name, value in found.row.items()] == [
        (name, type(value), value) for name, value in expected.items()
    ]
    assert found.row["at"].tzinfo is UTC
    assert {name: (type(value), value) for name, value in found.user.columns.items()} == {
        name: (type(owner[name]), owner[name]) for name in ("balance", "born", "seen", "extra", "kind", "trusted")
    }
    assert (found.user.id, found.user.email_verified, found.user.security_version) == (OWNER["id"], True, 3)


async def test_conditions_with_values_hold_in_any_order_of_size(db, badges):
    row = await badge(db, badges)
    gold = Lookup(badges, badges.c.digest, badges.c.level == "gold", badges.c.at <= NOW)
    silver = Lookup(badges, badges.c.digest, badges.c.level == "silver")
    listed = Lookup(badges, badges.c.digest, badges.c.level.in_(["silver", "gold"]))

    for digests in ([row["digest"]], [bytes(32), row["digest"]], [bytes([n]) * 32 for n in range(4)] + [row["digest"]]):
        assert (await gold.find(db, digests)).row["id"] == row["id"]
        assert (await listed.find(db, digests)).row["id"] == row["id"]
        assert await silver.find(db, digests) is None


@pytest.mark.databases("sqlite")
async def test_hc45_a_locked_file_is_waited_for_without_stopping_the_loop(db, badges):
    row = await badge(db, badges)
    lookup = Lookup(badges, badges.c.digest)
    assert await lookup.find(db, [row["digest"]])
    path = db.dialect.url.database
    await db.aclose()
    # One who has the file to itself lets nobody read, log or not.
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE badges SET level = 'new'")
    looking = asyncio.ensure_future(lookup.find(db, [row["digest"]]))
    done, _ = await asyncio.wait({looking}, timeout=0.2)
    assert not done
    other.execute("COMMIT")
    other.close()

    assert (await looking).row["level"] == "new"
    assert (await lookup.find(db, [row["digest"]])).row["level"] == "new"


@pytest.mark.databases("postgresql")
async def test_hc45_a_connection_that_was_lost_is_opened_again(db, badges):
    row = await badge(db, badges)
    lookup = Lookup(badges, badges.c.digest)
    assert await lookup.find(db, [row["digest"]])
    async with db.connect() as tx:
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        await tx.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

    found = await asyncio.gather(*(lookup.find(db, [row["digest"]]) for _ in range(5)))

    assert [one.row["id"] for one in found] == [row["id"]] * 5


@pytest.mark.databases("postgresql", "sqlite")
async def test_a_table_that_changed_under_the_connection_is_read_as_it_is(db, badges):
    row = await badge(db, badges)
    lookup = Lookup(badges, badges.c.digest)
    assert await lookup.find(db, [row["digest"]])
    change = {
        "postgresql": "ALTER TABLE badges ALTER COLUMN level TYPE text",
        "sqlite": "ALTER TABLE badges ADD COLUMN more TEXT",
    }[db.dialect.url.get_backend_name()]
    await db.transaction(lambda tx: tx.execute(text(change)))

    assert (await lookup.find(db, [row["digest"]])).row["level"] == "gold"


@pytest.mark.databases("postgresql")
async def test_hc45_a_server_that_is_slow_is_unavailable_for_its_batch_alone(db, badges, monkeypatch):
    row = await badge(db, badges)
    lookup = Lookup(badges, badges.c.digest)
    assert await lookup.find(db, [row["digest"]])
    async with db.connect() as tx:
        await tx.execute(text("LOCK TABLE badges IN ACCESS EXCLUSIVE MODE"))
        with monkeypatch.context() as patched:
            patched.setattr("sigra.db.reader.TIME_LIMIT", 0.2)
            with pytest.raises(Unavailable):
                await lookup.find(db, [row["digest"]])

    assert await lookup.find(db, [row["digest"]])


@pytest.mark.databases("postgresql")
async def test_without_prepared_statements_the_pooler_is_spared(database, db, badges):
    row = await badge(db, badges)
    pooled = Database(database + "?prepared_statement_cache_size=0")

    assert (await Lookup(badges, badges.c.digest).find(pooled, [row["digest"]])).row["id"] == row["id"]

    await pooled.aclose()


async def test_hc45_a_row_that_cannot_be_read_is_told_to_who_asked_and_to_nobody_else(db, badges):
    bad, good = await badge(db, badges), await badge(db, badges)

    def made(user, id):
        if id == bad["id"]:
            raise ValueError("no such badge")
        return id

    lookup = Lookup(badges, badges.c.digest, columns=[badges.c.id], made=made)
    asked = [lookup.find(db, [row["digest"]]) for row in (good, bad, good, bad)]
    answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)

    assert answers[0] == answers[2] == good["id"]
    assert [str(answers[place]) for place in (1, 3)] == ["no such badge"] * 2
    assert await asyncio.wait_for(lookup.find(db, [good["digest"]]), 2) == good["id"]


async def test_what_is_found_is_made_of_the_user_and_the_columns_in_their_order(db, badges):
    row = await badge(db, badges)
    columns = [badges.c.level, badges.c.id, badges.c.at]

    lookup = Lookup(badges, badges.c.digest, columns=columns, made=lambda user, *values: (user.email, *values))

    assert await lookup.find(db, [row["digest"]]) == ("ada@example.com", "gold", row["id"], row["at"])
    assert await lookup.find(db, [b"\0" * 32]) is None


async def test_a_condition_is_held_against_the_present_of_each_look_up(db, badges):
    row, now = await badge(db, badges), NOW
    at = at_present(lambda: now)
    lookup = Lookup(badges, badges.c.digest, badges.c.at <= at, columns=[badges.c.id], made=lambda user, its: its)

    assert await lookup.find(db, [row["digest"]]) == row["id"]
    now -= timedelta(microseconds=1)
    assert await lookup.find(db, [row["digest"]]) is None
    now += timedelta(days=1)
    assert await lookup.find(db, [row["digest"]]) == row["id"]


@pytest.mark.parametrize("later", [0.0, 0.001, 0.25, 1.0, 59.999, 3600.0, 31_536_000.5, -7.5])
async def test_the_database_reckons_how_long_ago_a_moment_was(db, badges, later):
    row = await badge(db, badges)
    now = at_present(lambda: NOW + timedelta(seconds=later))
    columns = [elapsed(badges.c.at, now), elapsed(badges.c.empty, now)]

    lookup = Lookup(badges, badges.c.digest, columns=columns, made=lambda user, *values: values)

    assert await lookup.find(db, [row["digest"]]) == (later, None)


@pytest.mark.databases("postgresql", "mariadb")
async def test_a_server_reckons_to_the_microsecond(db, badges):
    row = await badge(db, badges)
    now = at_present(lambda: NOW + timedelta(seconds=29.999999))

    lookup = Lookup(badges, badges.c.digest, columns=[elapsed(badges.c.at, now)], made=lambda user, unused: unused)

    assert await lookup.find(db, [row["digest"]]) == 29.999999


async def test_closing_answers_those_who_wait(db, badges):
    row = await badge(db, badges)
    lookup = Lookup(badges, badges.c.digest)
    looking = asyncio.ensure_future(lookup.find(db, [row["digest"]]))
    await asyncio.sleep(0)

    await db.aclose()

    assert (await looking).row["id"] == row["id"]


async def asked_by(count, db, badges, lookup, digest):
    """As many at once, each answered."""
    async with asyncio.timeout(5):
        found = await asyncio.gather(*(lookup.find(db, [digest]) for _ in range(count)))
    assert all(one.row["digest"] == digest for one in found)


async def test_a_crowd_that_is_back_is_waited_for_no_longer(db, badges, monkeypatch):
    monkeypatch.setattr("sigra.db.reader.WINDOW", 60)
    lookup, row = Lookup(badges, badges.c.digest), await badge(db, badges)

    for _ in range(3):
        await asked_by(64, db, badges, lookup, row["digest"])


async def test_what_is_left_of_a_crowd_waits_a_moment(db, badges):
    lookup, row = Lookup(badges, badges.c.digest), await badge(db, badges)

    for count in (64, 1, 64, 63, 2):
        await asked_by(count, db, badges, lookup, row["digest"])


async def test_hc50_one_of_a_crowd_that_goes_away_leaves_the_others_their_answers(db, badges):
    lookup, row = Lookup(badges, badges.c.digest), await badge(db, badges)
    await asked_by(64, db, badges, lookup, row["digest"])

    waiting = [asyncio.ensure_future(lookup.find(db, [row["digest"]])) for _ in range(32)]
    await asyncio.sleep(0)
    for one in waiting[::2]:
        one.cancel()

    async with asyncio.timeout(5):
        found = await asyncio.gather(*waiting[1::2])
    assert all(one.row["digest"] == row["digest"] for one in found)

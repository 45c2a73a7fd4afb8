import asyncio
import secrets
import uuid

import pytest
from sqlalchemy import Boolean, Column, MetaData, Table, insert, update

from sigra.db import Database, Digest, Id, Lookup, user_ref
from sigra.db.schema import core_tables
from sigra.errors import ConfigurationError, Unavailable
from tests.db.conftest import create_all, threads_ended


@pytest.fixture
async def badges(db, tables):
    metadata = tables.users.metadata
    table = Table(
        "badges",
        metadata,
        Column("id", Id, primary_key=True),
        user_ref("owner_id"),
        Column("digest", Digest, nullable=False, unique=True),
        Column("name", Boolean, nullable=False),
    )
    await create_all(db, metadata)
    return table


async def badge(db, users, badges, *, name=True):
    """A user's badge and its digest."""
    user = await db.transaction(lambda tx: users.create(tx, email=f"{uuid.uuid4()}@example.com", name="Anna"))
    digest = secrets.token_bytes(32)
    row = {"id": uuid.uuid4(), "owner_id": user.id, "digest": digest, "name": name}
    await db.transaction(lambda tx: tx.execute(insert(badges).values(row)))
    return user, digest


async def test_a_digest_finds_its_row_and_its_user(db, users, badges):
    user, digest = await badge(db, users, badges)

    found = await Lookup(badges, badges.c.digest).find(db, [digest])

    assert found.user == user
    assert (found.row["owner_id"], found.row["name"], bytes(found.row["digest"])) == (user.id, True, digest)
    assert digest.hex() not in repr(found)
    with pytest.raises(TypeError):
        found.row["name"] = False


async def test_hc23_one_of_several_digests_is_enough(db, users, badges):
    user, digest = await badge(db, users, badges)

    found = await Lookup(badges, badges.c.digest).find(db, [bytes(32), digest])

    assert found.user == user


async def test_an_unknown_digest_finds_nothing(db, users, badges):
    await badge(db, users, badges)
    lookup = Lookup(badges, badges.c.digest)

    assert await lookup.find(db, [bytes(32)]) is None
    assert await lookup.find(db, []) is None


@pytest.mark.parametrize("status", ["disabled", "closing"])
async def test_hc08_only_an_active_user_has_rows(db, users, badges, status):
    user, digest = await badge(db, users, badges)
    lookup = Lookup(badges, badges.c.digest)
    assert await lookup.find(db, [digest]) is not None

    await db.transaction(lambda tx: users.set_status(tx, user, status))

    assert await lookup.find(db, [digest]) is None


async def test_a_condition_must_hold(db, users, badges):
    _, named = await badge(db, users, badges)
    _, nameless = await badge(db, users, badges, name=False)
    lookup = Lookup(badges, badges.c.digest, badges.c.name.is_(True))

    assert await lookup.find(db, [named]) is not None
    assert await lookup.find(db, [nameless]) is None


async def test_what_was_revoked_is_not_found_by_the_next(db, users, badges):
    _, digest = await badge(db, users, badges)
    lookup = Lookup(badges, badges.c.digest)
    assert await lookup.find(db, [digest]) is not None

    await db.transaction(lambda tx: tx.execute(update(badges).values(digest=bytes(32))))

    assert await lookup.find(db, [digest]) is None


async def test_hc50_many_at_once_find_each_their_own(db, users, badges):
    owners = [await badge(db, users, badges) for _ in range(20)]
    lookup = Lookup(badges, badges.c.digest)

    found = await asyncio.gather(*(lookup.find(db, [digest]) for _, digest in owners * 20))

    assert [one.user.id for one in found] == [user.id for user, _ in owners * 20]


async def test_hc50_one_that_is_cancelled_does_not_touch_its_neighbours(db, users, badges):
    owners = [await badge(db, users, badges) for _ in range(10)]
    lookup = Lookup(badges, badges.c.digest)
    tasks = [asyncio.ensure_future(lookup.find(db, [digest])) for _, digest in owners]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [one.user.id for one in results[1::2]] == [user.id for user, _ in owners[1::2]]


async def test_hc45_no_database_is_unavailable(tmp_path):
    badges = Table("badges", metadata := MetaData(), user_ref(), Column("digest", Digest))
    core_tables(metadata)
    (tmp_path / "x.db").mkdir()
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")

    with pytest.raises(Unavailable):
        await Lookup(badges, badges.c.digest).find(db, [bytes(32)])

    await threads_ended()


def test_hc49_a_table_beside_the_users_is_refused():
    badges = Table("badges", MetaData(), user_ref(), Column("digest", Digest))

    with pytest.raises(ConfigurationError, match="badges"):
        Lookup(badges, badges.c.digest)


def test_hc49_a_table_that_points_at_nobody_is_refused():
    badges = Table("badges", metadata := MetaData(), Column("digest", Digest))
    core_tables(metadata)

    with pytest.raises(ConfigurationError, match=r"badges .* user_ref"):
        Lookup(badges, badges.c.digest)

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select
from sqlalchemy.exc import IntegrityError, StatementError

from sigra.db import Digest, Id, UTCDateTime
from sigra.db.types import ExactText, JSONText
from tests.db.conftest import create_all

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def stored(db, type_, *values):
    """What comes back, in the order in which it was stored."""
    metadata = MetaData()
    table = Table("values", metadata, Column("n", Integer, primary_key=True), Column("value", type_, unique=True))
    await create_all(db, metadata)

    async def write(tx):
        for n, value in enumerate(values):
            await tx.execute(insert(table).values(n=n + 1, value=value))

    await db.transaction(write)
    async with db.connect() as tx:
        return list(await tx.scalars(select(table.c.value).order_by(table.c.n)))


async def test_a_time_comes_back_aware_in_utc_to_the_microsecond(db):
    east = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))) + timedelta(microseconds=1)

    [first, second, nothing] = await stored(db, UTCDateTime, MOMENT, east, None)

    assert (first, second, nothing) == (MOMENT, east, None)
    assert first.tzinfo is UTC
    assert second.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(db):
    with pytest.raises(StatementError, match="without a zone"):
        await stored(db, UTCDateTime, datetime(2026, 1, 2))  # noqa: DTZ001


async def test_an_id_comes_back_as_it_was(db):
    one = uuid.uuid4()

    assert await stored(db, Id, one) == [one]


async def test_a_digest_comes_back_byte_by_byte_and_is_unique(db):
    digests = [bytes(range(32)), bytes(32), b" " * 32]

    assert [bytes(one) for one in await stored(db, Digest, *digests)] == digests


async def test_a_digest_is_unique(db):
    with pytest.raises(IntegrityError):
        await stored(db, Digest, bytes(32), bytes(32))


async def test_exact_text_tells_case_and_accents_apart(db):
    texts = ["anna", "Anna", "\u00e0nna", "\U0001f511"]

    assert await stored(db, ExactText(20), *texts) == texts


def test_json_text_is_compact_text():
    kind = JSONText()

    assert kind.process_bind_param({"a": [1, None]}, None) == '{"a":[1,null]}'
    assert kind.process_result_value(json.dumps({"a": "\u00e9"}), None) == {"a": "\u00e9"}
    assert kind.process_bind_param(None, None) is None
    assert kind.process_result_value(None, None) is None

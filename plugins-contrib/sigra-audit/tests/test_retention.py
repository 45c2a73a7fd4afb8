"""What retention takes away leaves a record that is verified from where it begins."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import pytest
from sqlalchemy import delete, update

from sigra import Event
from sigra.testing import FrozenClock
from sigra_audit import Audit
from sigra_audit.chain import Checkpoint
from sigra_audit.entries import moment
from sigra_audit.verifying import Tampered

YEAR = timedelta(days=366)


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    name: ClassVar[str] = "noted"


async def filled(here, count):
    await here.emit(*(Noted(user_id=uuid.UUID(int=n)) for n in range(count)))
    await here.seal()


@pytest.fixture
def clock():
    return FrozenClock()


async def test_rows_go_after_a_year_and_the_rest_is_verified(room, database, clock):
    async with room(database, clock=clock) as here:
        await filled(here, 12)
        clock.tick(YEAR)
        await filled(here, 3)
        await here.auth.worker.work()
        found = await here.verify()

        assert (found.start.position, found.head.position) == (12, 15)
        assert len(await here.rows()) == len(await here.rows("sigra_audit_seals")) == 3
        assert len(await here.rows("sigra_audit_anchors")) == 1


async def test_retention_goes_on_from_its_own_anchor(room, database, clock):
    async with room(database, clock=clock, retention=timedelta(days=30)) as here:
        for _ in range(3):
            await filled(here, 4)
            clock.tick(timedelta(days=20))
            await here.audit.retention.prune()

        assert (await here.verify()).start.position == 8
        assert [row["position"] for row in await here.rows("sigra_audit_anchors")] == [8]


async def test_the_last_row_stays(room, database, clock):
    async with room(database, clock=clock) as here:
        await filled(here, 4)
        clock.tick(YEAR)

        assert await here.audit.retention.prune() == 3
        assert (await here.verify()).count == 1


async def test_many_rows_go_in_batches(room, database, clock):
    async with room(database, clock=clock) as here:
        await filled(here, 1203)
        clock.tick(YEAR)
        await here.auth.worker.work()

        assert (await here.verify()).start.position == 1202


async def test_a_checkpoint_holds_across_retention(room, database, clock):
    async with room(database, clock=clock) as here:
        await filled(here, 5)
        seen = await checkpoint_of(here)
        clock.tick(YEAR)
        await filled(here, 5)
        assert await here.audit.retention.prune() == 5

        assert (await here.verify(seen)).count == 5
        later = await checkpoint_of(here)
        seals = here.audit.tables.seals
        await here.execute(delete(seals).where(seals.c.position > 8))
        with pytest.raises(Tampered, match="position 9"):
            await here.verify(later)


async def checkpoint_of(here):
    async with here.auth.db.connect() as tx:
        head = await here.audit.sealer.head(tx)
    return Checkpoint.of(head.link, moment(here.auth.clock()), here.audit.keys)


async def test_hc22_what_was_tampered_with_is_not_taken_away(room, database, clock, caplog):
    async with room(database, clock=clock) as here:
        await filled(here, 6)
        entries, rows = here.audit.tables.entries, await here.rows()
        await here.execute(update(entries).where(entries.c.id == rows[2]["id"]).values(name="edited"))
        clock.tick(YEAR)
        with pytest.raises(Tampered, match="position 3"):
            await here.audit.retention.prune()
        await here.auth.worker.work()

        assert len(await here.rows()) == 6
        assert "position 3" in caplog.text


async def test_rows_whose_key_is_gone_go_when_a_later_seal_vouches_for_them(room, database, clock):
    old, new = "an-old-key-for-tests-of-the-record-1", "a-new-key-for-tests-of-the-record-2"
    async with room(database, clock=clock, settings={"secret_keys": [old]}) as here:
        await filled(here, 5)
    clock.tick(YEAR)
    async with room(database, clock=clock, settings={"secret_keys": [new]}) as here:
        with pytest.raises(Tampered, match="key that is not there"):
            await here.audit.retention.prune()
    async with room(database, clock=clock, settings={"secret_keys": [new, old]}) as here:
        await filled(here, 2)
    async with room(database, clock=clock, settings={"secret_keys": [new]}) as here:
        assert await here.audit.retention.prune() == 5
        assert (await here.verify()).count == 2


async def test_what_a_sink_has_not_got_stays(room, database, clock):
    async with room(database, clock=clock, syslog="udp://127.0.0.1:9") as here:
        await filled(here, 5)
        clock.tick(YEAR)
        await filled(here, 2)

        assert await here.audit.retention.prune() == 0
        cursors = here.audit.tables.cursors
        row = {"name": "syslog", "position": 3, "held_until": None}
        await here.execute(cursors.insert().values(row))
        assert await here.audit.retention.prune() == 3


def test_the_options_of_retention_are_bounded():
    with pytest.raises(ValueError, match="retention"):
        Audit(retention=timedelta(hours=1))
    assert Audit().settings.retention == timedelta(days=365)

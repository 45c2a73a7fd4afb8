"""Several sealers at once make one chain, on every database, while rows go on being written."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from sigra import Event, Sigra
from sigra.testing import FrozenClock, cheap_settings
from sigra_audit import Audit

EVENTS = 60


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    name: ClassVar[str] = "noted"


async def test_hc46_sealers_at_once_give_every_row_one_place(room, database):
    async with room(database) as here:
        others = [Sigra(cheap_settings(database), ["defaults", Audit()], clock=FrozenClock()) for _ in range(3)]

        async def write(auth):
            for _ in range(EVENTS // 3):
                event = Noted(user_id=uuid.uuid4())
                await auth.db.transaction(lambda tx, event=event: auth.emit(tx, event))
                await auth.plugin(Audit).sealer.seal()

        for auth in others:
            await auth.start()
        outcomes = await asyncio.gather(*map(write, others), return_exceptions=True)
        assert outcomes == [None, None, None]
        await here.seal()
        found = await here.verify()
        for auth in others:
            await auth.aclose()

        assert (found.count, found.fresh_count) == (EVENTS, 0)


async def test_hc46_a_row_of_a_transaction_that_ends_late_gets_its_place(room, database):
    """Ids are given when a row is written, and rows are seen when their transaction ends."""
    clock = FrozenClock()
    async with room(database, clock=clock) as here:
        id = here.audit.ids.new()
        clock.tick(timedelta(seconds=20))
        await here.emit(Noted())
        await here.seal()
        new, here.audit.ids.new = here.audit.ids.new, lambda: id
        await here.emit(Noted())
        here.audit.ids.new = new

        assert await here.audit.sealer.seal(timedelta(minutes=1)) == 1
        assert (await here.verify()).count == 2


async def test_hc46_rows_after_a_clock_that_was_ahead_get_their_places(room, database):
    clock = FrozenClock()
    async with room(database, clock=clock) as here:
        clock.tick(timedelta(days=1))
        await here.emit(Noted())
        await here.seal()
        clock.tick(-timedelta(days=1))
        await here.emit(Noted())

        assert await here.seal() == 1
        assert (await here.verify()).count == 2


async def test_what_nothing_waits_for_is_only_looked_at(room, database):
    async with room(database) as here:
        await here.seal()

        assert await here.rows("sigra_audit_cursors") == []

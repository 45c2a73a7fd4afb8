import asyncio
import fcntl
import os
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from sigra.db.dialects.writers import WriterQueue
from sigra.errors import Unavailable
from tests.db.conftest import create_all
from tests.db.racers import Racers, counters


def queues(tmp_path, count, patience=5.0):
    """As many processes would have them: each opens the files for itself."""
    return [WriterQueue(tmp_path / "x.db", patience) for _ in range(count)]


async def test_one_writes_at_a_time(tmp_path):
    inside, most = 0, 0

    async def write(queue):
        nonlocal inside, most
        async with queue.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(write(queue) for queue in queues(tmp_path, 3) * 5))

    assert most == 1


async def test_first_come_first_served(tmp_path):
    [queue] = queues(tmp_path, 1)
    order = []

    async def write(number):
        async with queue.turn():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(write(number) for number in range(10)))

    assert order == list(range(10))


async def test_a_busy_process_does_not_overtake_the_one_that_waits(tmp_path):
    busy, waiting = queues(tmp_path, 2)
    turns, begun = [], asyncio.Event()

    async def write_on():
        while "waiting" not in turns:
            async with busy.turn():
                turns.append("busy")
                begun.set()
                await asyncio.sleep(0.002)

    async def write_once():
        async with waiting.turn():
            turns.append("waiting")

    on = asyncio.create_task(write_on())
    await begun.wait()
    await asyncio.gather(on, write_once())

    assert turns.index("waiting") <= 3


async def test_hc45_a_turn_that_does_not_come_is_unavailable_with_a_time_to_come_back(tmp_path):
    holder, impatient = queues(tmp_path, 2, patience=0.05)

    async with holder.turn():
        with pytest.raises(Unavailable) as refused:
            async with impatient.turn():
                pass
        with pytest.raises(Unavailable):
            async with holder.turn():
                pass

    assert refused.value.headers == {"retry-after": "1"}
    async with impatient.turn():
        pass


async def test_a_turn_ends_with_an_error(tmp_path):
    one, other = queues(tmp_path, 2, patience=0.5)

    with pytest.raises(RuntimeError):
        async with one.turn():
            raise RuntimeError

    async with one.turn():
        pass
    async with other.turn():
        pass


async def test_whoever_gives_up_waiting_leaves_no_open_file(tmp_path):
    holder, other = queues(tmp_path, 2)
    before = len(open_files())

    async with holder.turn():
        tasks = [asyncio.create_task(enter(queue)) for queue in (other, other, holder)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert len(open_files()) == before
    async with other.turn():
        pass


async def enter(queue):
    async with queue.turn():
        pass


async def test_a_child_that_was_forked_meanwhile_does_not_keep_the_turn(tmp_path):
    one, other = queues(tmp_path, 2, patience=0.5)

    async with one.turn():
        kept = [os.dup(int(fd.name)) for fd in open_files() if is_lock(fd)]

    async with other.turn():
        pass
    for fd in kept:
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def open_files():
    return list(Path("/proc/self/fd").iterdir())


def is_lock(fd):
    return fd.is_symlink() and fd.readlink().name.endswith("-writer")


async def race(db, database, seconds):
    await create_all(db, counters.metadata)
    await db.transaction(lambda tx: tx.execute(insert(counters).values(id=1, n=0)))

    async with Racers("write", database, 8) as racers:
        done = await racers.round(seconds)

    async with db.connect() as tx:
        return done, await tx.scalar(select(counters.c.n))


@pytest.mark.databases("sqlite")
async def test_eight_processes_write_one_file_without_an_error(db, database):
    done, stored = await race(db, database, "1")

    assert sum(done) == stored
    assert min(done) > 0


@pytest.mark.soak
@pytest.mark.databases("sqlite")
async def test_eight_processes_write_one_file_for_half_a_minute_without_an_error(db, database):
    done, stored = await race(db, database, "30")

    assert sum(done) == stored
    assert min(done) * 3 > max(done)

import asyncio
import socket
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from sigra.db import Database
from sigra.db.dialects.writers import WriterQueue
from sigra.db.engine import RETRIES, Repeat
from sigra.errors import SigraError, Unavailable
from tests.db.conftest import create_all, threads_ended

counters = Table("counters", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer, nullable=False))

# What makes the server end our own connection, as a crash or a firewall would.
SUICIDE = {
    "postgresql": "SELECT pg_terminate_backend(pg_backend_pid())",
    "mariadb": "KILL CONNECTION_ID()",
}


@pytest.fixture
async def counted(db):
    """Two counters at zero."""
    await create_all(db, counters.metadata)
    await db.transaction(lambda tx: tx.execute(insert(counters), [{"id": 1, "n": 0}, {"id": 2, "n": 0}]))
    return db


def add_one(id_):
    return update(counters).where(counters.c.id == id_).values(n=counters.c.n + 1)


async def numbers(db):
    async with db.connect() as tx:
        return list(await tx.scalars(select(counters.c.n).order_by(counters.c.id)))


async def test_a_transaction_returns_what_the_body_returns_and_is_committed(counted):
    async def body(tx):
        await tx.execute(add_one(1))
        return "done"

    assert await counted.transaction(body) == "done"
    assert await numbers(counted) == [1, 0]


async def test_an_error_in_the_body_undoes_everything_and_passes_unchanged(counted):
    error = RuntimeError("no")

    async def body(tx):
        await tx.execute(add_one(1))
        raise error

    with pytest.raises(RuntimeError) as raised:
        await counted.transaction(body)

    assert raised.value is error
    assert await numbers(counted) == [0, 0]


async def test_a_time_out_of_the_bodys_own_passes_unchanged(counted):
    async def body(_):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await counted.transaction(body)


async def test_an_integrity_error_passes_unchanged_and_shows_no_values(counted):
    with pytest.raises(IntegrityError) as raised:
        await counted.transaction(lambda tx: tx.execute(insert(counters).values(id=1, n=987654321)))

    assert "987654321" not in str(raised.value)


async def test_a_wrong_statement_passes_unchanged(counted):
    with pytest.raises(DBAPIError):
        await counted.transaction(lambda tx: tx.execute(text("SELECT nonsense FROM nowhere")))


async def test_a_write_outside_a_transaction_is_refused(counted):
    async with counted.connect() as tx:
        with pytest.raises(RuntimeError, match="inside transaction"):
            await tx.execute(add_one(1))


@pytest.mark.databases("postgresql", "mariadb")
async def test_transactions_read_what_is_committed(counted):
    async def body(tx):
        before = await tx.scalar(select(counters.c.n).where(counters.c.id == 1))
        await counted.transaction(lambda other: other.execute(add_one(1)))
        return before, await tx.scalar(select(counters.c.n).where(counters.c.id == 1))

    assert await counted.transaction(body) == (0, 1)


async def test_callbacks_run_after_the_commit(counted):
    seen = []

    async def body(tx):
        counted.after_commit(tx, lambda: seen.append("first"))
        counted.after_commit(tx, lambda: seen.append("second"))
        assert seen == []

    await counted.transaction(body)

    assert seen == ["first", "second"]


async def test_callbacks_of_a_transaction_that_is_undone_never_run(counted):
    seen = []

    async def body(tx):
        counted.after_commit(tx, lambda: seen.append("told"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await counted.transaction(body)

    assert seen == []


async def test_callbacks_of_a_run_that_is_repeated_run_once(counted):
    seen, runs = [], []

    async def body(tx):
        runs.append(tx)
        counted.after_commit(tx, lambda: seen.append(len(runs)))
        if len(runs) == 1:
            raise Repeat

    await counted.transaction(body)

    assert seen == [2]


async def test_a_callback_needs_a_running_transaction(counted):
    kept = []

    async def body(tx):
        kept.append(tx)

    await counted.transaction(body)

    with pytest.raises(LookupError):
        counted.after_commit(kept[0], print)


async def test_the_body_runs_again_at_most_three_times(counted):
    runs = []

    async def body(tx):
        runs.append(tx)
        raise Repeat

    with pytest.raises(Unavailable):
        await counted.transaction(body)

    assert len(runs) == 1 + RETRIES


def crossing(counted, reached, first, second, runs):
    """A body that locks two rows, and between them waits until the other one has its first."""

    async def body(tx):
        runs.append(first)
        await tx.execute(add_one(first))
        if runs.count(first) == 1:
            await reached.wait()
        await tx.execute(add_one(second))

    return body


@pytest.mark.databases("postgresql", "mariadb")
async def test_a_deadlock_is_run_again(counted):
    reached, runs = asyncio.Barrier(2), []

    await asyncio.gather(
        counted.transaction(crossing(counted, reached, 1, 2, runs)),
        counted.transaction(crossing(counted, reached, 2, 1, runs)),
    )

    assert await numbers(counted) == [2, 2]
    assert len(runs) == 3


@pytest.mark.databases("postgresql", "mariadb")
async def test_a_deadlock_met_by_code_that_lets_only_our_errors_pass_is_run_again(counted):
    reached, runs = asyncio.Barrier(2), []

    def hooked(body):
        async def call(tx):
            try:
                await body(tx)
            except SigraError:
                raise
            except Exception as error:
                raise Unavailable from error

        return call

    await asyncio.gather(
        counted.transaction(hooked(crossing(counted, reached, 1, 2, runs))),
        counted.transaction(hooked(crossing(counted, reached, 2, 1, runs))),
    )

    assert await numbers(counted) == [2, 2]


@pytest.mark.databases("postgresql", "mariadb")
async def test_hc45_a_lost_connection_is_unavailable_and_the_next_call_works(counted, request):
    async def body(tx):
        await tx.execute(add_one(1))
        await tx.execute(text(SUICIDE[request.node.callspec.params["database"]]))

    with pytest.raises(Unavailable):
        await counted.transaction(body)

    assert await numbers(counted) == [0, 0]


@pytest.mark.databases("postgresql", "mariadb")
@pytest.mark.parametrize("way", ["transaction", "connect"])
async def test_hc45_connections_lost_while_idle_cost_one_answer_at_most(counted, way, request):
    async def call():
        if way == "transaction":
            return await counted.transaction(lambda tx: tx.scalar(select(counters.c.n)))
        async with counted.connect() as tx:
            return await tx.scalar(select(counters.c.n))

    other = Database(counted.dialect.url.render_as_string(hide_password=False))
    async with other.connect() as tx:
        kind = request.node.callspec.params["database"]
        await tx.execute(text(END_OTHERS[kind])) if kind == "postgresql" else await end_others(tx)
    await other.aclose()

    with pytest.raises(Unavailable):
        await call()

    assert await call() == 0


END_OTHERS = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
}


async def end_others(tx):
    others = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
    for id_ in await tx.scalars(text(others)):
        await tx.execute(text(f"KILL {id_}"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "mariadb"])
async def test_hc45_a_refused_connection_is_unavailable(scheme):
    db = Database(f"{scheme}://root@127.0.0.1:{free_port()}/nowhere")

    with pytest.raises(Unavailable):
        await db.transaction(lambda tx: tx.scalar(text("SELECT 1")))
    with pytest.raises(Unavailable):
        async with db.connect():
            pass
    with pytest.raises(Unavailable):
        async with db.migrating():
            pass


@pytest.mark.parametrize("break_it", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"nonsense" * 1024)])
async def test_hc45_a_file_that_cannot_be_opened_is_unavailable(tmp_path, break_it):
    break_it(tmp_path / "x.db")
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")

    with pytest.raises(Unavailable):
        await db.transaction(lambda tx: tx.scalar(text("SELECT 1")))

    await threads_ended()


async def test_hc45_a_slow_statement_is_unavailable_and_leaves_no_connection(database):
    db = Database(database, time_limit=0.2)
    await create_all(db, counters.metadata)

    async def body(_):
        await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await db.transaction(body)
    with pytest.raises(Unavailable):
        async with db.connect() as tx:
            await body(tx)

    assert await numbers(db) == []
    assert db._engine.pool.checkedout() == 0
    await db.aclose()


async def test_a_patient_transaction_takes_as_long_as_it_takes(database):
    db = Database(database, time_limit=0.0)
    await create_all(db, counters.metadata)

    with pytest.raises(Unavailable):
        await db.transaction(lambda tx: tx.scalar(text("SELECT 1")))

    assert await db.transaction(lambda tx: tx.scalar(text("SELECT 1")), patient=True) == 1
    await db.aclose()


SLOW = {"postgresql": "SELECT pg_sleep(60)", "mariadb": "SELECT SLEEP(60)"}


@pytest.mark.databases("postgresql", "mariadb")
async def test_hc45_a_hanging_statement_is_unavailable(database, request):
    db = Database(database, time_limit=0.2)

    with pytest.raises(Unavailable):
        await db.transaction(lambda tx: tx.execute(text(SLOW[request.node.callspec.params["database"]])))

    assert db._engine.pool.checkedout() == 0
    await db.aclose()


async def cancelled_after(steps, coroutine):
    """Let a task run for some turns of the event loop, then cancel it; whether it was still running."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(steps):
        await asyncio.sleep(0)
    cancelled = task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return cancelled


async def test_cancellation_at_any_point_leaks_neither_lock_nor_connection(counted):
    committed = 0
    for steps in range(0, 120, 3):
        committed += not await cancelled_after(steps, counted.transaction(lambda tx: tx.execute(add_one(1))))
        await cancelled_after(steps, numbers(counted))

    await asyncio.wait_for(counted.transaction(lambda tx: tx.execute(add_one(2))), 5)
    [first, second] = await numbers(counted)
    assert committed <= first <= 40
    assert second == 1
    assert counted._engine.pool.checkedout() == 0
    assert counted._later == {}


async def test_waiting_writers_that_are_cancelled_do_not_hold_the_others_up(counted):
    writers = [asyncio.ensure_future(counted.transaction(lambda tx: tx.execute(add_one(1)))) for _ in range(40)]
    await asyncio.sleep(0)
    for writer in writers[::2]:
        writer.cancel()
    done = await asyncio.gather(*writers, return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in done) == 20
    assert await numbers(counted) == [20, 0]


async def test_many_transactions_at_once_all_succeed(counted):
    await asyncio.gather(*(counted.transaction(lambda tx: tx.execute(add_one(1))) for _ in range(100)))

    assert await numbers(counted) == [100, 0]


@pytest.mark.databases("sqlite")
async def test_a_transaction_that_reads_first_can_write_after_others_wrote_meanwhile(counted, database):
    async def body(tx):
        before = await tx.scalar(select(counters.c.n).where(counters.c.id == 1))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_from_outside(database)
        await tx.execute(add_one(1))
        return before

    assert await counted.transaction(body) == 0
    write_from_outside(database)
    assert await numbers(counted) == [2, 0]


def write_from_outside(database):
    """As a program that does not queue, with its own connection and no patience."""
    with closing(sqlite3.connect(make_url(database).database, timeout=0)) as connection, connection:
        connection.execute("UPDATE counters SET n = n + 1 WHERE id = 1")


@pytest.mark.databases("sqlite")
async def test_reads_go_on_while_one_writes(counted):
    async def body(tx):
        await tx.execute(add_one(1))
        return await numbers(counted)

    assert await counted.transaction(body) == [0, 0]


@pytest.mark.databases("sqlite")
async def test_a_transaction_waits_for_its_turn_among_processes(counted):
    another = WriterQueue(Path(counted.dialect.url.database), 5)

    async with another.turn():
        writer = asyncio.ensure_future(counted.transaction(lambda tx: tx.execute(add_one(1))))
        await asyncio.wait({writer}, timeout=0.2)
        assert not writer.done()

    await writer
    assert await numbers(counted) == [1, 0]


async def test_a_database_in_memory_is_one_for_all_its_connections():
    db = Database("sqlite://")
    await create_all(db, counters.metadata)
    await db.transaction(lambda tx: tx.execute(insert(counters).values(id=1, n=0)))

    await asyncio.gather(*(db.transaction(lambda tx: tx.execute(add_one(1))) for _ in range(20)))

    assert await numbers(db) == [20]
    await db.aclose()


async def test_text_that_is_too_long_is_refused_not_cut(db):
    names = Table("names", MetaData(), Column("name", String(3).with_variant(String(3), "sqlite"), primary_key=True))
    await create_all(db, names.metadata)

    if db.dialect.url.get_backend_name() == "sqlite":
        await db.transaction(lambda tx: tx.execute(insert(names).values(name="abcd")))
        return
    with pytest.raises(DBAPIError):
        await db.transaction(lambda tx: tx.execute(insert(names).values(name="abcd")))

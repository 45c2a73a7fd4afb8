"""`sigra keys rotate`: what is sealed under older keys is sealed anew, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, ConfigurationError, Route, Sigra, hookimpl
from sigra.cli.rotating import rotate_all
from sigra.db import Database, Sealed
from sigra.db.rotation import Rotation, count_others
from sigra.errors import SealBroken
from sigra.testing import Client, cheap_settings, create_tables, make_user
from tests.apps import application, running
from tests.player import ROOT
from tests.safes import Safes

OLDER, OLD, NEW = (f"the-{which}-key-of-the-ring-with-enough-in-it" for which in ("older", "old", "new"))

T = TypeVar("T")


@asynccontextmanager
async def opened(database: str, *keys: str) -> AsyncIterator[tuple[Sigra, Safes]]:
    """An installation under that ring."""
    safes = Safes()
    async with Sigra(cheap_settings(database, secret_keys=keys), ["sessions", "password", safes]) as auth:
        await create_tables(auth)
        yield auth, safes


async def fill(database: str, key: str, count: int) -> dict[uuid.UUID, bytes]:
    """As many safes, filled under one key."""
    async with opened(database, key) as (auth, safes):
        contents = {uuid.uuid4(): f"content {number}".encode() for number in range(count)}
        column = safes.table.c.content
        rows = [{"id": id, "content": auth.vault.seal(column, id, text)} for id, text in contents.items()]
        await auth.db.transaction(lambda tx: tx.execute(insert(safes.table), rows))
    return contents


async def stored(auth: Sigra, safes: Safes) -> dict[uuid.UUID, bytes]:
    """What lies in the table."""
    async with auth.db.connect() as tx:
        rows = await tx.execute(select(safes.table.c.id, safes.table.c.content))
        return {row.id: row.content for row in rows}


async def contents_under(database: str, *keys: str) -> dict[uuid.UUID, bytes]:
    """What opens under these keys alone."""
    async with opened(database, *keys) as (auth, safes):
        found = {}
        for id, sealed in (await stored(auth, safes)).items():
            with suppress(SealBroken):
                found[id] = auth.vault.open(column_of(safes), id, sealed)
        return found


def column_of(safes: Safes) -> Column[Any]:
    column: Column[Any] = safes.table.c.content
    return column


def unheard(error: SealBroken) -> None:
    raise AssertionError(f"{error}")


# What is sealed anew


async def test_hc23_everything_opens_without_the_old_keys_afterwards(database: str) -> None:
    contents = await fill(database, OLDER, 150) | await fill(database, OLD, 250) | await fill(database, NEW, 50)
    async with opened(database, NEW, OLD, OLDER) as (auth, safes):
        before = await stored(auth, safes)
        left = await rotate_all(auth)
        after = await stored(auth, safes)

    assert left == 0
    assert await contents_under(database, NEW) == contents
    assert sum(before[id] == after[id] for id in before) == 50


async def test_what_is_there_already_is_not_written_again(database: str) -> None:
    await fill(database, OLD, 30)
    async with opened(database, NEW, OLD) as (auth, safes):
        rotate = Rotation(auth.db, auth.vault, column_of(safes), unheard).run
        counts = [await rotate(), await rotate()]

    assert counts == [30, 0]


async def test_a_row_without_a_value_stays_without_one(database: str) -> None:
    async with opened(database, NEW, OLD) as (auth, safes):
        id = await auth.db.transaction(lambda tx: safes.fill(auth, tx, None, None))
        left = await rotate_all(auth)

        assert (left, await stored(auth, safes)) == (0, {id: None})


async def test_every_sealed_column_of_every_table_is_found(database: str) -> None:
    metadata = MetaData()
    host = Table("vaults", metadata, Column("n", Integer, primary_key=True), Column("b", Sealed), Column("a", Sealed))
    absent = Table("not_made_yet", MetaData(), Column("n", Integer, primary_key=True), Column("c", Sealed))
    async with Sigra(cheap_settings(database, secret_keys=[OLD]), ["sessions"], metadata=metadata) as auth:
        await create_tables(auth)
        values = {column.name: auth.vault.seal(column, 1, b"x") for column in (host.c.a, host.c.b)}
        await auth.db.transaction(lambda tx: tx.execute(insert(host).values(n=1, **values)))
    absent.to_metadata(metadata)
    again = MetaData()
    for table in (host, absent):
        table.to_metadata(again)
    async with Sigra(cheap_settings(database, secret_keys=[NEW, OLD]), ["sessions"], metadata=again) as auth:
        left = await rotate_all(auth)
        async with auth.db.connect() as tx:
            others = [await count_others(tx, host.c[name], [auth.vault.first]) for name in "ab"]

    assert (left, others) == (0, [0, 0])


async def test_a_table_of_the_host_without_a_key_of_its_own_is_refused(database: str) -> None:
    metadata = MetaData()
    Table(
        "vaults",
        metadata,
        Column("a", Integer, primary_key=True),
        Column("b", Integer, primary_key=True),
        Column("c", Sealed),
    )
    async with Sigra(cheap_settings(database), ["sessions"], metadata=metadata) as auth:
        await create_tables(auth)
        with pytest.raises(ConfigurationError, match="The application brings the table vaults"):
            await rotate_all(auth)


async def test_hc22_what_does_not_open_is_named_and_left_and_the_rest_is_done(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = await fill(database, OLD, 220)
    moved, theirs = [*contents][:2]
    [lost] = await fill(database, OLDER, 1)
    async with opened(database, NEW, OLD) as (auth, safes):
        swapped = update(safes.table).where(safes.table.c.id == moved)
        before = await stored(auth, safes)
        await auth.db.transaction(lambda tx: tx.execute(swapped.values(content=before[theirs])))
        left = await rotate_all(auth)
        after = await stored(auth, safes)
    said = capsys.readouterr()

    assert left == 2
    assert (after[moved], after[lost]) == (before[theirs], before[lost])
    assert said.out == "sigra_safes.content: 219 sealed anew, 2 do not open\n"
    place = "The value of sigra_safes.content in the row"
    assert sorted(said.err.splitlines()) == sorted(
        [
            f"{place} {moved} was sealed elsewhere, or it was changed since.",
            f"{place} {lost} was sealed under a key that is not in SIGRA_SECRET_KEYS.",
        ]
    )


async def test_an_installation_that_seals_nothing_is_told_so(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(database, ["sessions"]) as client:
        left = await rotate_all(client.sigra)

    assert (left, capsys.readouterr().out) == (0, "Nothing is sealed: no active plugin has a column for it.\n")


async def test_values_of_a_plugin_that_is_not_active_are_not_forgotten(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await fill(database, OLD, 3)
    await fill(database, NEW, 2)
    async with Sigra(cheap_settings(database, secret_keys=[NEW, OLD]), ["sessions"]) as auth:
        left = await rotate_all(auth)

    assert left == 3
    assert capsys.readouterr().err == "sigra_safes: 3 left, its plugin is not active. Switch it on for this.\n"


# What does not open


async def test_hc22_what_does_not_open_is_unavailable_and_the_log_says_what_and_where(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    [id] = await fill(database, OLD, 1)
    async with running(database, ["sessions", "password", Safes()], secret_keys=[NEW]) as client:
        await client.sign_in(await make_user(client.sigra))
        answer = await client.get("/auth/safes")

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")
    assert "sigra_safes" not in answer.text
    told = f"The value of sigra_safes.content in the row {id} was sealed under a key that is not in SIGRA_SECRET_KEYS."
    assert told in caplog.text
    assert "content 0" not in caplog.text and OLD not in caplog.text and NEW not in caplog.text


# Others write meanwhile


class Overtaken:
    """The database, in which somebody else writes right before each transaction of ours."""

    def __init__(self, db: Database, write: Callable[[AsyncConnection], Awaitable[object]]) -> None:
        self._db, self._write = db, write
        self.connect = db.connect

    async def transaction(self, fn: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        await self._db.transaction(self._write)
        return await self._db.transaction(fn)


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "deleted"])
async def test_hc23_what_somebody_else_wrote_meanwhile_stays(database: str, gone: bool) -> None:
    contents = await fill(database, OLD, 3)
    id = [*contents][1]
    async with opened(database, NEW, OLD) as (auth, safes):
        mine = safes.table.c.id == id
        newer = auth.vault.seal(column_of(safes), id, b"newer")
        write = safes.table.delete().where(mine) if gone else update(safes.table).where(mine).values(content=newer)
        db: Any = Overtaken(auth.db, lambda tx: tx.execute(write))
        count = await Rotation(db, auth.vault, column_of(safes), unheard).run()
        after = await stored(auth, safes)

    assert count == 2
    assert after.get(id) == (None if gone else newer)


async def test_who_still_writes_under_an_older_key_is_noticed(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that was not restarted: the first key is the old one there."""
    await fill(database, OLD, 3)
    async with opened(database, OLD) as (behind, its), opened(database, NEW, OLD) as (auth, _):
        column, id = column_of(its), uuid.UUID(int=1)
        write = insert(its.table).values(id=id, content=behind.vault.seal(column, id, b"late"))
        busy: Any = SimpleNamespace(db=Overtaken(auth.db, lambda tx: tx.execute(write)), vault=auth.vault)
        busy.metadata = auth.metadata
        left = await rotate_all(busy)
        again = await rotate_all(auth)

    assert (left, again) == (1, 0)
    assert "sigra_safes.content: others write under an older key. Restart every process" in capsys.readouterr().err


# Killed, and in use


async def rotator(database: str, statement: int = 0) -> asyncio.subprocess.Process:
    """Another process that rotates; killed before that statement."""
    command = [sys.executable, "-m", "tests.rotator", database, f"{NEW},{OLD}", str(statement)]
    silent = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=silent, stderr=silent)


async def test_hc46_a_rotation_that_is_killed_goes_on_when_it_is_run_again(database: str) -> None:
    contents = await fill(database, OLD, 1_000)
    killed = await (await rotator(database, 550)).wait()
    async with opened(database, NEW, OLD) as (auth, safes):
        async with auth.db.connect() as tx:
            halfway = await count_others(tx, column_of(safes), [auth.vault.first])
        opening = await contents_under(database, NEW, OLD)
        again = await (await rotator(database)).wait()

    assert (killed, again) == (-signal.SIGKILL, 0)
    assert 0 < halfway < 1_000 and halfway % 100 == 0
    assert opening == contents
    assert await contents_under(database, NEW) == contents


class Busy(Safes):
    """Everybody may look into a safe, and put something else there."""

    @hookimpl
    def register_routes(self, auth: Auth) -> list[Route]:
        path = "/safes/{id:uuid}"
        return [
            Route(path, partial(self.look, auth), any_identity=True),
            Route(path, partial(self.put, auth), methods=["POST"], any_identity=True),
        ]

    async def look(self, auth: Auth, request: Request) -> Response:
        """GET: the content."""
        column, id = column_of(self), request.path_params["id"]
        async with auth.db.connect() as tx:
            sealed = await tx.scalar(select(column).where(self.table.c.id == id))
        assert sealed is not None
        return Response(auth.vault.open(column, id, sealed))

    async def put(self, auth: Auth, request: Request) -> Response:
        """POST: other content."""
        column, id = column_of(self), request.path_params["id"]
        sealed = auth.vault.seal(column, id, (await request.json())["content"].encode())
        write = update(self.table).where(self.table.c.id == id).values(content=sealed)
        await auth.db.transaction(lambda tx: tx.execute(write))
        return Response(status_code=204)


async def use(client: Client, contents: dict[uuid.UUID, bytes], until: asyncio.Event, seed: int) -> list[int]:
    """Look into safes and fill them in turn, each user some of its own; how each was answered."""
    chance, answers = random.Random(seed), []
    own = [id for id in contents if id.int % 4 == seed]
    while not until.is_set():
        id = chance.choice(own)
        shown = await client.get(f"/auth/safes/{id}")
        assert shown.content == contents[id]
        contents[id] = f"{chance.random()}".encode()
        put = await client.post(f"/auth/safes/{id}", json={"content": contents[id].decode()})
        answers += [shown.status_code, put.status_code]
    return answers


@pytest.mark.parametrize("rows", [1_500, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_hc23_no_request_fails_while_rows_are_sealed_anew(database: str, rows: int) -> None:
    """Two processes with rings in the order of a rotation: one is restarted already, one is not."""
    contents = await fill(database, OLD, rows)
    settings = [cheap_settings(database, secret_keys=keys) for keys in ([NEW, OLD], [OLD, NEW])]
    done = asyncio.Event()
    async with Sigra(settings[0], [Busy()]) as one, Sigra(settings[1], [Busy()]) as two:
        clients = [Client(auth.wrap(application), auth) for auth in (one, one, two, two)]
        using = [asyncio.create_task(use(its, contents, done, seed)) for seed, its in enumerate(clients)]
        first = await (await rotator(database)).wait()
        done.set()
        answers = [code for its in await asyncio.gather(*using) for code in its]
    last = await (await rotator(database)).wait()

    assert {*answers} == {200, 204} and len(answers) > 100
    assert (first in (0, 1), last) == (True, 0)
    assert await contents_under(database, NEW) == contents

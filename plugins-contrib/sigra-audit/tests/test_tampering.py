"""`verify` names the first row that was edited, removed, moved or inserted, on every database."""

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

import pytest
from sqlalchemy import delete, insert, update

from sigra import Event
from sigra.testing import FrozenClock
from sigra_audit.chain import Checkpoint, Link, anchor_row, seal_row
from sigra_audit.entries import FIELDS, entry_of, moment
from sigra_audit.keys import Keys
from sigra_audit.verifying import Tampered


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    name: ClassVar[str] = "noted"


async def filled(here, count=10):
    await here.emit(*(Noted(user_id=uuid.UUID(int=n), metadata={"n": n}) for n in range(count)))
    await here.seal()
    return await here.rows(), await here.rows("sigra_audit_seals")


async def found(here, *args):
    with pytest.raises(Tampered) as caught:
        await here.verify(*args)
    return str(caught.value)


async def test_an_untouched_record_is_intact(room, database):
    async with room(database) as here:
        assert (await here.verify()).count == 0
        await filled(here, 1100)

        assert (await here.verify()).count == 1100
        assert [row["position"] for row in await here.rows("sigra_audit_seals")] == list(range(1, 1101))


EDITS = {
    "occurred_at": None,
    "name": "noted2",
    "outcome": "failure",
    "actor_id": "somebody",
    "subject_id": "somebody else",
    "session_id": "s",
    "client": "198.51.100.1",
    "user_agent": "curl",
    "reason": "none",
    "request_id": "r",
    "metadata": '{"n": 4}',
    "mac": bytes(32),
}


@pytest.mark.parametrize("column", EDITS)
async def test_hc22_an_edited_row_is_found_whatever_was_edited(room, database, column):
    async with room(database) as here:
        rows, _ = await filled(here)
        value = EDITS[column] or rows[4]["occurred_at"] - timedelta(microseconds=1)
        entries = here.audit.tables.entries
        await here.execute(update(entries).where(entries.c.id == rows[4]["id"]).values({column: value}))

        assert await found(here) == f"position 5: row {rows[4]['id']} was edited"


def test_every_column_of_a_row_is_edited_by_a_test():
    assert {*FIELDS, "mac"} - set(EDITS) == {"id"}


async def test_hc22_an_edited_row_is_found_too_when_its_key_is_said_to_be_another(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        entries = here.audit.tables.entries
        edit = update(entries).where(entries.c.id == rows[4]["id"]).values(name="edited", key_id="0" * 12)
        await here.execute(edit)

        assert "position 5" in await found(here)
        assert "edited" in await found(here)


async def test_hc22_a_removed_row_is_found(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        entries = here.audit.tables.entries
        await here.execute(delete(entries).where(entries.c.id == rows[2]["id"]))

        assert await found(here) == f"position 3: row {rows[2]['id']} was removed"


async def test_hc22_a_row_removed_with_its_seal_is_found(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        entries, seals = here.audit.tables.entries, here.audit.tables.seals
        await here.execute(delete(seals).where(seals.c.position == 3))
        await here.execute(delete(entries).where(entries.c.id == rows[2]["id"]))

        assert await found(here) == "position 3: the row and its seal were removed"


async def test_hc22_rows_removed_from_the_start_are_found(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        entries, seals = here.audit.tables.entries, here.audit.tables.seals
        await here.execute(delete(seals).where(seals.c.position <= 3))
        await here.execute(delete(entries).where(entries.c.id.in_([row["id"] for row in rows[:3]])))

        assert "position 1" in await found(here)


async def test_hc22_a_gap_that_is_closed_by_renumbering_is_found(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        entries, seals = here.audit.tables.entries, here.audit.tables.seals
        await here.execute(delete(seals).where(seals.c.position == 3))
        await here.execute(delete(entries).where(entries.c.id == rows[2]["id"]))
        for position in range(4, 11):
            await here.execute(update(seals).where(seals.c.position == position).values(position=position - 1))

        assert "position 3" in await found(here)


async def test_hc22_a_chain_that_a_thief_of_the_database_makes_anew_is_found(room, database):
    """Every hash is public; only what the keys make of it is not."""
    async with room(database) as here:
        _, seals = await filled(here)
        table, link, wrong = here.audit.tables.seals, Link(0, bytes(32)), Keys(["x" * 32], lambda *_: [])
        for place, entry in enumerate(reversed(await here.entries())):
            link = link.following(entry.id, entry.digest())
            row = seal_row(link, entry.id, here.auth.clock(), wrong)
            row["key_id"] = seals[place]["key_id"]
            await here.execute(delete(table).where(table.c.position == 10 - place))
            row["position"] = 100 + link.position
            await here.execute(insert(table).values(row))
        for position in range(1, 11):
            await here.execute(update(table).where(table.c.position == 100 + position).values(position=position))

        assert "position 1" in await found(here)


async def test_hc22_two_rows_that_change_places_are_found(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        table = here.audit.tables.seals
        for position, id in ((3, uuid.UUID(int=1)), (6, rows[2]["id"]), (3, rows[5]["id"])):
            await here.execute(update(table).where(table.c.position == position).values(entry_id=id))

        assert await found(here) == f"position 3: row {rows[5]['id']} was moved, or its seal edited"


async def test_hc22_two_rows_that_change_their_contents_are_found(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        table = here.audit.tables.entries
        for ours, theirs in ((rows[2], rows[5]), (rows[5], rows[2])):
            values = {name: theirs[name] for name in (*FIELDS, "mac") if name != "id"}
            await here.execute(update(table).where(table.c.id == ours["id"]).values(values))

        assert await found(here) == f"position 3: row {rows[2]['id']} was edited"


async def test_hc22_an_edited_seal_is_found(room, database):
    async with room(database) as here:
        rows, _ = await filled(here)
        table = here.audit.tables.seals
        await here.execute(update(table).where(table.c.position == 4).values(made_at=here.auth.clock() - timedelta(1)))

        assert await found(here) == f"position 4: the seal of row {rows[3]['id']} was edited"


async def test_hc22_a_row_without_a_mac_of_ours_is_found_and_gets_no_place(room, database, caplog):
    async with room(database) as here:
        rows, _ = await filled(here)
        forged = {**rows[3], "id": here.audit.ids.new()}
        await here.execute(insert(here.audit.tables.entries).values(forged))

        assert await here.seal() == 0
        assert str(forged["id"]) in caplog.text
        assert await found(here) == f"row {forged['id']} was inserted or edited: it is not authentic"


async def test_hc22_an_authentic_row_of_another_record_is_found(room, database, tmp_path):
    async with room(database) as here, room(f"sqlite:///{tmp_path / 'other.db'}") as other:
        await filled(here)
        await other.emit(Noted(user_id=uuid.UUID(int=99)))
        [row] = await other.rows()
        await here.execute(insert(here.audit.tables.entries).values({**row, "id": here.audit.ids.new()}))

        assert "inserted or edited" in await found(here)


async def test_rows_within_the_window_are_named_as_such(room, database):
    async with room(database) as here:
        await here.emit(Noted(), Noted())
        report = await here.verify()

        assert report.fresh_count == 2
        assert report.fresh == [row["id"] for row in await here.rows()]


async def test_hc22_a_row_that_has_no_place_after_the_window_is_found(room, database):
    clock = FrozenClock()
    async with room(database, clock=clock) as here:
        await here.emit(Noted())
        clock.tick(timedelta(seconds=61))
        [row] = await here.rows()

        assert f"row {row['id']} was inserted, or never sealed" in await found(here)
        assert await here.seal() == 1
        assert (await here.verify()).count == 1


async def test_hc22_a_row_that_comes_back_after_retention_took_it_gets_no_place(room, database):
    clock = FrozenClock()
    async with room(database, clock=clock) as here:
        rows, _ = await filled(here)
        clock.tick(timedelta(days=366))
        await filled(here, 3)
        assert await here.audit.retention.prune() == 10
        await here.execute(insert(here.audit.tables.entries).values(rows[4]))

        assert await here.seal() == 0
        assert f"row {rows[4]['id']} was inserted" in await found(here)


# The end of the chain


async def checkpoint_of(here):
    async with here.auth.db.connect() as tx:
        head = await here.audit.sealer.head(tx)
    text = Checkpoint.of(head.link, moment(here.auth.clock()), here.audit.keys).text()
    return Checkpoint.parse(text, here.audit.keys)


async def cut(here, after):
    rows, seals = await here.rows(), here.audit.tables.seals
    await here.execute(delete(seals).where(seals.c.position > after))
    entries = here.audit.tables.entries
    await here.execute(delete(entries).where(entries.c.id.in_([row["id"] for row in rows[after:]])))


async def test_hc22_a_cut_end_is_found_by_a_checkpoint(room, database):
    async with room(database) as here:
        await filled(here)
        seen = await checkpoint_of(here)
        assert (await here.verify(seen)).count == 10
        await cut(here, 8)

        assert (await here.verify()).count == 8
        assert await found(here, seen) == "position 9: the row and all after it were removed: the checkpoint saw 10"


async def test_hc22_a_cut_end_that_has_grown_again_is_found_by_a_checkpoint(room, database):
    async with room(database) as here:
        await filled(here)
        seen = await checkpoint_of(here)
        await cut(here, 8)
        await filled(here, 5)

        assert (await here.verify()).count == 13
        assert await found(here, seen) == "position 10: the chain up to here is another one than the checkpoint saw"


async def test_hc22_an_emptied_record_is_found_by_a_checkpoint(room, database):
    async with room(database) as here:
        await filled(here)
        seen = await checkpoint_of(here)
        for table in here.audit.tables.all():
            await here.execute(delete(table))

        assert "position 1" in await found(here, seen)


async def test_hc22_a_checkpoint_that_somebody_made_up_is_refused(room, database):
    async with room(database) as here:
        await filled(here)
        seen = await checkpoint_of(here)
        for forged in (
            replace(seen, link=Link(5, seen.link.hash)),
            replace(seen, made_at="2027"),
            replace(seen, mac=bytes(32)),
            replace(seen, link=Link(seen.link.position, bytes(32))),
        ):
            with pytest.raises(ValueError, match="none of the keys"):
                Checkpoint.parse(forged.text(), here.audit.keys)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"position": -1, "hash": "", "made_at": "", "mac": ""}', "[" * 9000]
)
@pytest.mark.databases("sqlite")
async def test_what_is_no_checkpoint_is_refused(room, database, text):
    async with room(database) as here:
        with pytest.raises(ValueError, match=r"."):
            Checkpoint.parse(text, here.audit.keys)


async def test_a_checkpoint_of_an_empty_record_holds_to_the_end(room, database):
    async with room(database) as here:
        seen = await checkpoint_of(here)
        await filled(here, 2)

        assert (await here.verify(seen)).count == 2


async def test_hc22_an_anchor_that_somebody_made_up_is_found(room, database):
    async with room(database) as here:
        rows, seals = await filled(here)
        entries, tables = here.audit.tables.entries, here.audit.tables
        await here.execute(delete(tables.seals).where(tables.seals.c.position <= 3))
        await here.execute(delete(entries).where(entries.c.id.in_([row["id"] for row in rows[:3]])))
        wrong = Keys(["x" * 32], lambda *_: [])
        forged = anchor_row(Link(3, seals[2]["hash"]), here.auth.clock(), wrong)
        await here.execute(insert(tables.anchors).values(forged))

        assert "key that is not there" in await found(here)
        await here.execute(update(tables.anchors).values(key_id=here.audit.keys.ids[0]))
        assert "the anchor, which stands for what retention took away, was edited" in await found(here)


async def test_hc22_an_anchor_that_spares_rows_from_being_looked_at_is_found(room, database):
    """Also one that is authentic: whoever has the application has its keys, and may insert."""
    async with room(database) as here:
        _, seals = await filled(here)
        forged = anchor_row(Link(7, seals[6]["hash"]), here.auth.clock(), here.audit.keys)
        await here.execute(insert(here.audit.tables.anchors).values(forged))

        assert await found(here) == "position 7: the anchor was inserted: rows from before it are still there"


@pytest.mark.parametrize("position", [0, -1, -(2**63)])
async def test_hc22_a_row_with_a_place_before_the_start_is_found(room, database, position):
    """Nobody looks there, and the row would not be one without a place."""
    async with room(database) as here:
        rows, seals = await filled(here)
        forged = {**rows[3], "id": uuid.UUID(int=1)}
        await here.execute(insert(here.audit.tables.entries).values(forged))
        seal = {**seals[3], "position": position, "entry_id": forged["id"]}
        await here.execute(insert(here.audit.tables.seals).values(seal))

        assert await found(here) == f"position {position}: the seal was inserted: the chain begins after it"


@pytest.mark.parametrize("id", [0, 1, 2**128 - 1])
async def test_hc22_an_inserted_row_is_found_whatever_its_id_is(room, database, id):
    async with room(database) as here:
        rows, _ = await filled(here)
        await here.execute(insert(here.audit.tables.entries).values({**rows[3], "id": uuid.UUID(int=id)}))

        assert f"row {uuid.UUID(int=id)} was inserted" in await found(here)


ANCHOR = "INSERT INTO sigra_audit_anchors SELECT {values}, key_id, mac FROM sigra_audit_seals LIMIT 1"
UNREADABLE = {
    "a row's MAC": "UPDATE sigra_audit SET mac = 'text' WHERE subject_id LIKE '%4'",
    "a seal's MAC": "UPDATE sigra_audit_seals SET mac = 7 WHERE position = 5",
    "a seal's hash": "UPDATE sigra_audit_seals SET hash = 'text' WHERE position = 5",
    "a place": "UPDATE sigra_audit_seals SET position = 'text' WHERE position = 5",
    "an id": f"INSERT INTO sigra_audit SELECT 'text', {', '.join(FIELDS[1:])}, key_id, mac FROM sigra_audit LIMIT 1",
    "an anchor's time": ANCHOR.format(values="-1, hash, 'text'"),
    "an anchor's hash": ANCHOR.format(values="-1, 'text', made_at"),
    "an anchor's place": ANCHOR.format(values="'text', hash, made_at"),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.databases("sqlite")
async def test_a_value_of_another_type_is_found_and_nothing_fails_by_it(room, database, what):
    """SQLite takes any."""
    async with room(database) as here:
        await filled(here)
        await here.auth.db.transaction(lambda tx: tx.exec_driver_sql(UNREADABLE[what]))

        assert await found(here)


@pytest.mark.databases("sqlite")
async def test_a_value_that_cannot_be_read_is_a_row_that_was_edited(room, database):
    async with room(database) as here:
        await filled(here)
        statement = "UPDATE sigra_audit SET occurred_at = 'never' WHERE subject_id LIKE '%4'"
        await here.auth.db.transaction(lambda tx: tx.exec_driver_sql(statement))

        assert await found(here) == "position 5: the row was edited: it cannot even be read"


# Keys


OLD, NEW = "an-old-key-for-tests-of-the-record-1", "a-new-key-for-tests-of-the-record-2"


def ring(*keys):
    return {"secret_keys": list(keys)}


async def test_hc23_rows_of_an_older_key_are_verified_while_it_is_there(room, database):
    async with room(database, settings=ring(OLD)) as here:
        await filled(here)
    async with room(database, settings=ring(NEW, OLD)) as here:
        await filled(here, 2)

        assert (await here.verify()).count == 12


async def test_hc23_rows_outlive_their_key_when_a_later_seal_vouches_for_them(room, database):
    async with room(database, settings=ring(OLD)) as here:
        rows, _ = await filled(here)
    async with room(database, settings=ring(NEW, OLD)) as here:
        await here.auth.worker.work()
        assert "audit.key_changed" in await here.names()
    async with room(database, settings=ring(NEW)) as here:
        assert (await here.verify()).count == 11
        entries = here.audit.tables.entries
        await here.execute(update(entries).where(entries.c.id == rows[4]["id"]).values(name="edited"))

        assert await found(here) == f"position 5: row {rows[4]['id']} was edited"


async def test_hc23_an_edited_row_whose_seal_is_made_to_fit_is_found_by_the_next_place(room, database):
    """Whose key is gone: nobody can tell by the seal itself."""
    async with room(database, settings=ring(OLD)) as here:
        rows, seals = await filled(here)
    async with room(database, settings=ring(NEW, OLD)) as here:
        await here.auth.worker.work()
    async with room(database, settings=ring(NEW)) as here:
        entries, table = here.audit.tables.entries, here.audit.tables.seals
        edited = replace(entry_of(rows[4]), name="edited")
        link = Link(4, seals[3]["hash"]).following(edited.id, edited.digest())
        await here.execute(update(entries).where(entries.c.id == edited.id).values(name="edited"))
        await here.execute(update(table).where(table.c.position == 5).values(hash=link.hash))

        assert "position 6" in await found(here)


async def test_hc23_rows_for_which_no_key_vouches_are_not_called_intact(room, database):
    async with room(database, settings=ring(OLD)) as here:
        await filled(here)
    async with room(database, settings=ring(NEW)) as here:
        assert "position 1: this and what follows was sealed with a key that is not there" in await found(here)


async def test_hc23_the_records_own_keys_outlive_the_ring(room, database):
    async with room(database, settings=ring(OLD), keys=["k" * 32]) as here:
        await filled(here)
    async with room(database, settings=ring(NEW), keys=["k" * 32]) as here:
        assert (await here.verify()).count == 10


async def test_hc22_nothing_is_chained_to_a_row_whose_key_is_not_there(room, database, caplog):
    """Or the next seal would vouch for what somebody made up."""
    async with room(database) as here:
        rows, seals = await filled(here)
        wrong = Keys(["x" * 32], lambda *_: [])
        entry = replace(entry_of(rows[0]), id=here.audit.ids.new(), name="forged")
        link = Link(10, seals[-1]["hash"]).following(entry.id, entry.digest())
        await here.execute(insert(here.audit.tables.entries).values(entry.row(wrong)))
        await here.execute(insert(here.audit.tables.seals).values(seal_row(link, entry.id, here.auth.clock(), wrong)))
        await here.emit(Noted())
        with pytest.raises(Exception, match="not authentic"):
            await here.seal()

        assert "position 11" in await found(here)

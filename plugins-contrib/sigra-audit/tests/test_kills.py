"""Workers are killed at any moment: what is left is a record that is intact, and has an event for every fact."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from sigra import Sigra
from sigra.testing import cheap_settings, make_user, migrate
from sigra_audit import Audit

ROOT = Path(__file__).parents[3]
MORTAL = Path(__file__).with_name("mortal.py")


@pytest.fixture
async def filled(database):
    async with Sigra(cheap_settings(database), ["defaults", Audit()]) as auth:
        await migrate(auth)
        for email in ("ada@example.com", "bob@example.com"):
            await make_user(auth, email)
    return database


async def kill(url, kills, middle):
    """How many workers died within a transaction, and at any other moment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(MORTAL), url, str(kills), str(middle), "7", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def column(auth, table, name):
    async with auth.db.connect() as tx:
        return list(await tx.scalars(select(auth.metadata.tables[table].c[name])))


async def judge(url):
    """Compare all facts with all events; how many there are of each."""
    async with Sigra(cheap_settings(url), ["defaults", Audit()]) as auth:
        audit, entries = auth.plugin(Audit), auth.metadata.tables["sigra_audit"]
        await audit.sealer.seal()
        found = await audit.verifier.verify()
        async with auth.db.connect() as tx:
            events = [row._asdict() for row in await tx.execute(select(entries))]
            users = [row._asdict() for row in await tx.execute(select(auth.metadata.tables["sigra_users"]))]
        names = Counter(one["name"] for one in events)
        ada = next(str(user["id"]) for user in users if user["email"] == "ada@example.com")

        assert (found.count, found.fresh_count) == (len(events), 0)
        # An account: its event, and no other.
        assert {str(user["id"]) for user in users} == {e["subject_id"] for e in events if e["name"] == "user.created"}
        assert names["user.created"] == len(users)
        # A session: nothing of ada's is ever ended, and what is bob's was renewed or ended by a change.
        made = {e["session_id"] for e in events if e["name"] in ("sign_in.succeeded", "session.renewed")}
        own = {e["session_id"] for e in events if e["name"] == "sign_in.succeeded" and e["subject_id"] == ada}
        sessions = set(map(str, await column(auth, "sigra_sessions", "id")))
        assert own <= sessions <= made
        # A change of a password: each moves the version of the account once.
        revoked = Counter(e["subject_id"] for e in events if e["name"] == "credentials.revoked")
        assert {str(u["id"]): u["security_version"] for u in users if u["security_version"]} == dict(revoked)
        assert names["password.changed"] == names["session.renewed"] == sum(revoked.values())
        return {"rows": len(events), "sign_ins": names["sign_in.succeeded"], "changes": names["password.changed"]}


async def test_hc46_killed_workers_leave_an_event_for_every_fact(filled):
    died = await kill(filled, 8, 5)
    counts = await judge(filled)

    assert died == {"within": 5, "outside": 3}
    assert counts["sign_ins"] > 0


@pytest.mark.soak
async def test_hc46_two_hundred_killed_workers_leave_an_event_for_every_fact(filled):
    died = await kill(filled, 200, 60)
    counts = await judge(filled)

    assert died == {"within": 60, "outside": 140}
    assert counts["sign_ins"] > 50
    assert counts["changes"] > 5

"""Tables that a plugin has left behind, on every database."""

from __future__ import annotations

from functools import partial

from sigra import Sigra
from sigra.db.unclaimed import unclaimed
from sigra.testing import cheap_settings, create_tables, make_user, migrate
from tests.safes import Safes

PLUGINS = ["sessions", "password"]


async def test_what_a_plugin_has_left_behind_is_found_with_its_accounts_and_what_it_sealed(database: str) -> None:
    safes = Safes()
    settings = cheap_settings(database)
    async with Sigra(settings, [*PLUGINS, safes]) as auth:
        await create_tables(auth)
        async with auth.db.connect() as tx:
            claimed = await unclaimed(tx, auth.metadata)
        nameless, grace, ada = [await make_user(auth, one) for one in (None, "grace@example.com", "ada@example.com")]
        for user in (nameless, grace, ada, ada, None):
            await auth.db.transaction(partial(safes.fill, auth, user=user, content=b"gold"))
    async with Sigra(settings, PLUGINS) as auth, auth.db.connect() as tx:
        users = auth.metadata.tables["sigra_users"]
        [left] = await unclaimed(tx, auth.metadata)
        accounts = [await left.accounts(tx, users, limit) for limit in (20, 1)]
        counts = [await left.count_accounts(tx), await left.count_sealed(tx, auth.vault.known)]

    assert claimed == []
    assert left.name == "sigra_safes"
    assert sorted(accounts[0]) == sorted(["ada@example.com", "grace@example.com", str(nameless.id)])
    assert len(accounts[1]) == 1
    assert counts == [3, 5]


async def test_versions_of_revisions_and_tables_of_the_host_are_left_out(database: str) -> None:
    async with Sigra(cheap_settings(database), ["defaults"]) as auth:
        await migrate(auth)
        await auth.db.transaction(lambda tx: tx.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))
        async with auth.db.connect() as tx:
            assert await unclaimed(tx, auth.metadata) == []


async def test_a_table_without_accounts_has_none(database: str) -> None:
    async with Sigra(cheap_settings(database), ["defaults"]) as auth:
        await create_tables(auth)
        await auth.db.transaction(lambda tx: tx.exec_driver_sql("CREATE TABLE sigra_old (id INTEGER PRIMARY KEY)"))
        async with auth.db.connect() as tx:
            [old] = await unclaimed(tx, auth.metadata)
            found = [await old.count_accounts(tx), await old.accounts(tx, auth.metadata.tables["sigra_users"], 20)]
            found.append(await old.count_sealed(tx, auth.vault.known))

    assert (old.name, old.users, old.binary) == ("sigra_old", None, ())
    assert found == [0, [], 0]

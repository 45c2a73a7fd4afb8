"""An old backup is restored: nothing of it goes on that may have ended since."""

from __future__ import annotations

from functools import partial

import pytest

from sigra import hookspecs
from sigra.testing import FrozenClock
from tests.oauth.cases import ADA, come, installed, rows, says
from tests.oauth.dancing import dance, start
from tests.oauth.hostile import Hostile

TABLES = ("sigra_oauth_attempts", "sigra_oauth_grants", "sigra_oauth_tokens", "sigra_oauth_identities")


@pytest.mark.parametrize("passwords", [False, True])
async def test_hc24_what_may_have_ended_since_a_backup_ends(
    database: str, clock: FrozenClock, provider: Hostile, passwords: bool
) -> None:
    async with installed(database, clock, provider, entries={"keep_tokens": True}) as client:
        await come(client, provider, "sub-ada", ADA)
        await start(client)
        auth = client.sigra
        restored = partial(auth.each, hookspecs.end_restored, passwords=passwords)
        ended = await auth.db.transaction(lambda tx: restored(tx=tx))
        left = [len(await rows(client, name)) for name in TABLES]
        says(provider, "sub-ada", ADA)
        again = await dance(client)

    told = {name: count for its in ended for name, count in its.items() if name.startswith("oauth")}
    identities = {"oauth_identities": 1} if passwords else {}
    assert told == {"oauth_attempts": 1, "oauth_grants": 1, "oauth_tokens": 1, **identities}
    assert left == [0, 0, 0, 0 if passwords else 1]
    assert again.status_code == (202 if passwords else 200)

"""A mutated source must still be alive: what is red because nothing starts any more proves nothing about a rule.

Import, start, sign in, sign out.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import sigra
from sigra.testing import Client, cheap_settings, create_tables, make_user
from sigra.testing.who_asks import application

ROOT = Path(__file__).resolve().parent.parent.parent

assert Path(sigra.__file__).is_relative_to(ROOT), f"{sigra.__file__} is not the source under test"


async def live() -> None:
    async with sigra.Sigra(cheap_settings()) as auth, Client(auth.wrap(application), auth) as client:
        await create_tables(auth)
        assert (await client.sign_in(await make_user(auth))).status_code == 200, "nobody can sign in"
        assert (await client.get("/")).json()["method"] == "session", "whoever signed in is nobody"
        assert (await client.sign_out()).status_code == 204, "nobody can sign out"


asyncio.run(live())

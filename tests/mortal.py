"""A worker that proves a factor and is killed right before its n-th statement: `python -m tests.mortal URL TOKEN N`.

Prints the status of the answer when it lives to see it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from sqlalchemy import event
from starlette.applications import Starlette

from sigra import Sigra
from sigra.testing import Client, cheap_settings
from tests.ledger import Ledger
from tests.policies import Factor

PLUGINS = ["defaults", Factor(), Ledger()]


def kill_before(auth: Sigra, statement: int) -> None:
    """Die when that many statements and commits of transactions were sent."""
    left = [statement]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = auth.db._engine.sync_engine
    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, count)


async def main(url: str, token: str, statement: int) -> None:
    async with Sigra(cheap_settings(url), PLUGINS) as auth:
        kill_before(auth, statement)
        async with Client(auth.wrap(Starlette()), auth) as client:
            response = await client.post("/auth/login/factor", json={"code": "right", "login_token": token})
    print(response.status_code)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

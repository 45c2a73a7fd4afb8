"""A process that runs `sigra keys rotate`, and may be killed before its n-th statement: `python -m tests.rotator`."""

from __future__ import annotations

import asyncio
import sys

from sigra import Sigra
from sigra.cli.rotating import rotate_all
from sigra.testing import cheap_settings
from tests.mortal import kill_before
from tests.safes import Safes


async def rotate(url: str, keys: list[str], statement: int) -> int:
    """How many values are left under other keys."""
    async with Sigra(cheap_settings(url, secret_keys=keys), ["sessions", Safes()]) as auth:
        if statement:
            kill_before(auth, statement)
        return await rotate_all(auth)


if __name__ == "__main__":
    url, keys, statement = sys.argv[1:]
    sys.exit(1 if asyncio.run(rotate(url, keys.split(","), int(statement))) else 0)

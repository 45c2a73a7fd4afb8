"""A sound deployment as uvicorn's workers import it, told by the environment what to be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from sigra import Sigra
from sigra.attack import Target, Unreachable
from sigra.settings import Settings
from sigra.testing import EMAIL, PASSWORD, cheap_settings, create_tables, make_user
from tests.apps import application
from tests.broken.build import Quiet

ROOT = Path(__file__).parents[2]
TOLD = "TEST_DEPLOYMENT"
PLUGINS = ("defaults", "lockout")


def create() -> ASGIApp:
    """What a worker serves."""
    return build(**json.loads(os.environ[TOLD])).wrap(application)


def build(database: str, base_url: str, limits: str | None = None) -> Sigra:
    return Sigra(_settings(database, base_url, limits), [*PLUGINS, Quiet()])


def _settings(database: str, base_url: str, limits: str | None) -> Settings:
    counted: dict[str, Any] = {} if limits is None else {"url": limits}
    return cheap_settings(database, base_url=base_url, worker=True, limits=counted)


@asynccontextmanager
async def two_workers(database: str, limits: str | None = None) -> AsyncIterator[Target]:
    """Two processes that serve one deployment, and an account in it to attack.

    Args:
        limits: Where they count, instead of in the database.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    told = {"database": database, "base_url": f"http://localhost:{listening.getsockname()[1]}", "limits": limits}
    async with build(**told) as auth:  # type: ignore[arg-type]
        await create_tables(auth)
        await make_user(auth)
    command = [sys.executable, "-m", "uvicorn", "tests.broken.workers:create", "--factory", "--workers=2"]
    command += [f"--fd={listening.fileno()}", "--log-level=critical", "--no-proxy-headers"]
    surroundings = {**os.environ, TOLD: json.dumps(told)}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=surroundings, pass_fds=[listening.fileno()], start_new_session=True
    )
    try:
        yield await _reached(Target(str(told["base_url"]), EMAIL, PASSWORD))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()
        listening.close()


async def _reached(target: Target) -> Target:
    """The target, when it answers."""
    async with asyncio.timeout(60):
        while True:
            try:
                await target.look()
            except Unreachable:
                await asyncio.sleep(0.1)
            else:
                return target

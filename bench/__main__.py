"""The command: `python -m bench [part …]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from bench import in_process, over_http
from bench.filling import Filled, fill, multiply
from bench.table import Row
from tests import servers

ROOT = Path(__file__).parent.parent
PARTS = ("http", "single", "million", "sign-ins")
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SESSIONS = 10_000


def main() -> None:
    arguments = parse()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; median (range)")
    with databases(arguments.databases) as urls:
        for name, places in urls.items():
            filled = asyncio.run(fill(places["small"], SESSIONS, SESSIONS))
            settle()
            on_database(arguments, name, places, filled)
    if "sign-ins" in arguments.parts:
        sign_ins()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--databases", default="sqlite,postgresql", help="comma list")
    parser.add_argument("--pairs", type=int, default=12, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=0.8, help="the length of a measurement under load")
    parser.add_argument("--without-peer", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}")
    arguments.parts = arguments.parts or list(PARTS)
    arguments.databases = arguments.databases.split(",")
    return arguments


def on_database(arguments: argparse.Namespace, name: str, places: dict[str, str], filled: Filled) -> None:
    label = NAMES[name]
    if "http" in arguments.parts:
        title("Over HTTP, 64 kept-alive connections, CPU of the server per request")
        options = over_http.Options(arguments.pairs, arguments.seconds, not arguments.without_peer)
        some = filled.cookies[:256], filled.keys[:256]
        show(over_http.measure(label, places["small"], places["peer"], *some, options))
    if "single" in arguments.parts:
        title("In process, one request at a time, CPU per request")
        turns = arguments.pairs * 2
        show(in_process.one_at_a_time(label, places["small"], filled.cookies[0], filled.keys[0], turns))
        wrong, right = asyncio.run(in_process.bad_key_without_database(filled.keys[0]))
        print(f"Without a database a key with a wrong checksum is answered {wrong}, a well-formed one {right}.")
    if "million" in arguments.parts:
        title("In process, 64 at once, CPU per request")
        large = asyncio.run(fill(places["large"], SESSIONS, SESSIONS))
        asyncio.run(multiply(places["large"], 1_000_000 // SESSIONS))
        settle()
        cookies = [filled.cookies[:2048], large.cookies[:2048]]
        show(in_process.grown(label, places["small"], places["large"], cookies, arguments.pairs))


def settle() -> None:
    """Have on the disk what was written, so that writing it costs nobody who is measured."""
    os.sync()


def sign_ins() -> None:
    title("256 sign-ins at once, default hash")
    command = [sys.executable, "-m", "bench.sign_ins"]
    seen = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    ideal = seen["cores"] * seen["alone"]
    allowed = seen["cores"] * seen["memory_kib"] * 1024 * 1.3 + (10 << 20)
    grown = seen["peak"] - seen["baseline"]
    print(f"{seen['signed_in']} signed in, {seen['rate']:.1f} a second: {seen['rate'] / ideal:.2f} of {ideal:.1f}")
    print(f"memory grew by {grown / 2**20:.0f} MiB of {allowed / 2**20:.0f} MiB allowed")
    print(f"the slowest other answer took {seen['slowest'] * 1000:.0f} ms")


@contextmanager
def databases(names: list[str]) -> Iterator[dict[str, dict[str, str]]]:
    """Empty databases of each kind, by what they are for."""
    with (
        servers.running([name for name in names if name != "sqlite"]) as running,
        tempfile.TemporaryDirectory(prefix="sigra-bench-") as folder,
    ):
        yield {name: made(name, running, folder) for name in names}


def made(name: str, running: dict[str, str], folder: str) -> dict[str, str]:
    uses = ("small", "large", "peer")
    if name == "sqlite":
        return {use: f"sqlite+aiosqlite:///{folder}/{use}.db" for use in uses}
    asyncio.run(_create(running[name], uses))
    return {use: running[name] + use for use in uses}


async def _create(server: str, uses: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(server.replace("+asyncpg", "") + "postgres")
    for use in uses:
        await connection.execute(f"CREATE DATABASE {use}")
    await connection.close()


def title(text: str) -> None:
    print(f"\n{text}", flush=True)


def show(rows: list[Row]) -> None:
    print(*rows, sep="\n", flush=True)


if __name__ == "__main__":
    main()

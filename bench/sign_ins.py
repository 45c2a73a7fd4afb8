"""Many sign-ins at once, with the default hash: how many a second, in how much memory, and who else still gets answers.

`python -m bench.sign_ins` prints one JSON line. The server, those who sign in and who else asks are three processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.applications import PASSWORD, signing_in
from bench.over_http import HERE, contender, pipes, started

AT_ONCE = 256
ALONE = 8


def main() -> dict[str, Any]:
    alone, memory_kib = asyncio.run(_alone())
    command = [sys.executable, "-m", "bench.applications", "sign-ins", str(AT_ONCE)]
    with contender("sign-ins", command, []) as server:
        asyncio.run(_many(server.port, 2))
        baseline = _memory(server.process.pid, "VmRSS")
        with started([sys.executable, str(HERE / "asking.py"), str(server.port)]) as asking:
            pipes(asking)[1].readline()
            begun = time.perf_counter()
            signed_in = asyncio.run(_many(server.port, AT_ONCE))
            seconds = time.perf_counter() - begun
            slowest = _slowest_of(asking)
        peak = _memory(server.process.pid, "VmHWM")
    return {
        "signed_in": signed_in,
        "cores": os.cpu_count(),
        "alone": alone,
        "rate": AT_ONCE / seconds,
        "memory_kib": memory_kib,
        "baseline": baseline,
        "peak": peak,
        "slowest": slowest,
    }


async def _alone() -> tuple[float, int]:
    """How many hashes a second one thread makes, and the KiB that one takes."""
    async with signing_in(AT_ONCE) as auth:
        begun = time.perf_counter()
        for _ in range(ALONE):
            await auth.hasher.hash(PASSWORD)
        return ALONE / (time.perf_counter() - begun), auth.settings.password.memory_kib


async def _many(port: int, count: int) -> int:
    """How many of so many at once were signed in."""
    return sum(await asyncio.gather(*(_sign_in(port) for _ in range(count))))


async def _sign_in(port: int) -> bool:
    body = json.dumps({"email": "ada@example.com", "password": PASSWORD}).encode()
    usual = "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    head = f"{usual}\r\nContent-Length: {len(body)}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + b"\r\n\r\n" + body)
    status = await reader.readline()
    writer.close()
    return b" 200 " in status


def _slowest_of(asking: subprocess.Popen[str]) -> float:
    stdin, stdout = pipes(asking)
    stdin.close()
    return float(stdout.read())


def _memory(pid: int, what: str) -> int:
    """Bytes of a line of proc_pid_status(5)."""
    [kib] = re.findall(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) * 1024


if __name__ == "__main__":
    print(json.dumps(main()))

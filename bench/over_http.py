"""CPU per request over HTTP: every server is running, one at a time is under load, turn by turn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.table import Row, pairs

HERE = Path(__file__).parent
ROOT = HERE.parent
PEER = ROOT / ".venv-bench" / "bin" / "python"
CONNECTIONS = 64

STARTS = 3
"""How often every server is started: where a process has its objects in memory moves its cost by a twentieth."""


@dataclass(frozen=True)
class Contender:
    """One server and what is asked of it."""

    name: str
    process: subprocess.Popen[str]
    port: int
    requests: Sequence[str]


class Load:
    """The process that makes the load."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def run(self, one: Contender, seconds: float) -> float:
        """Seconds of CPU that one request cost the server.

        Raises:
            RuntimeError: A request was answered other than 200.
        """
        order = {"port": one.port, "requests": one.requests, "seconds": seconds, "connections": CONNECTIONS}
        before = cpu_seconds(one.process.pid)
        answer = self._order(order)
        used = cpu_seconds(one.process.pid) - before
        if answer["bad"] or not answer["answered"]:
            raise RuntimeError(f"{one.name}: {answer['bad']} of {answer['answered']} requests were refused")
        return used / answer["answered"]

    def _order(self, order: dict[str, object]) -> dict[str, int]:
        stdin, stdout = pipes(self.process)
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        answer: dict[str, int] = json.loads(stdout.readline())
        return answer


def cpu_seconds(pid: int) -> float:
    """The CPU time of another process, all its threads, to the nanosecond (clock_getcpuclockid(3), Linux)."""
    return time.clock_gettime((~pid << 3) | 2)


def measure(
    database: str, url: str, peer_url: str, cookies: Sequence[str], keys: Sequence[str], options: Options
) -> list[Row]:
    """The rows of one database."""
    wanted = list(_contenders(url, peer_url, cookies, keys, options))
    turns = [turn for _ in range(STARTS) for turn in _turns(wanted, -(-options.pairs // STARTS), options.seconds)]
    beside = [name for name in ("bare", "raw, coalesced", "fastapi-users") if name in turns[0]]
    return [Row(f"{database}: {name}", *pairs(turns, name, beside)) for name in turns[0]]


def _turns(
    wanted: Sequence[tuple[str, list[str], list[str]]], count: int, seconds: float
) -> Iterator[dict[str, float]]:
    """What a request costs each of the contenders, turn by turn, from one start of all of them."""
    with ExitStack() as stack:
        load = Load(stack.enter_context(started([sys.executable, str(HERE / "load.py")])))
        contenders = [stack.enter_context(contender(*one)) for one in wanted]
        for one in contenders:
            load.run(one, seconds)
        for _ in range(count):
            yield {one.name: load.run(one, seconds) for one in contenders}


@dataclass(frozen=True)
class Options:
    """How long to look."""

    pairs: int
    seconds: float
    peer: bool


def _contenders(
    url: str, peer_url: str, cookies: Sequence[str], keys: Sequence[str], options: Options
) -> Iterator[tuple[str, list[str], list[str]]]:
    by_cookie = [request(f"Cookie: sigra={cookie}") for cookie in cookies]
    by_key = [request(f"Authorization: Bearer {key}") for key in keys]
    ours = [sys.executable, "-m", "bench.applications"]
    yield "bare", [*ours, "bare", url], by_cookie
    yield "raw, coalesced", [*ours, "coalesced", url], by_cookie
    yield "Sigra by cookie", [*ours, "sigra", url], by_cookie
    yield "Sigra by key", [*ours, "sigra", url], by_key
    if options.peer:
        peer = [str(PEER), str(HERE / "peer.py"), peer_url]
        filled = subprocess.run([*peer, "fill", "256"], check=True, capture_output=True, text=True)
        tokens = json.loads(filled.stdout)
        yield "fastapi-users", [*peer, "serve"], [request(f"Authorization: Bearer {token}") for token in tokens]


def request(header: str) -> str:
    usual = "Host: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    return f"GET / HTTP/1.1\r\n{usual}{header}\r\n\r\n"


@contextmanager
def contender(name: str, command: Sequence[str], requests: Sequence[str]) -> Iterator[Contender]:
    with started(command) as process:
        _, stdout = pipes(process)
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"{name} did not start")
        yield Contender(name, process, int(line), requests)


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that ends when its standard input does."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        stdin, _ = pipes(process)
        try:
            yield process
        finally:
            stdin.close()
            process.wait(20)


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout

"""The load: kept-alive connections that each send the next request when the last is answered; a process of its own.

Reads a JSON line an order (`port`, `requests`, `seconds`, `connections`), answers a JSON line (`answered`, `bad`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import uvloop


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], tally: list[int]) -> None:
        self.requests, self.tally = requests, tally
        self.transport: Any = None
        self.stopping = False
        self.stopped = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        # The answers are small: each comes whole, in one piece or with a body of its own piece.
        if not data.endswith(b"}"):
            return
        self.tally[0] += 1
        if b"true" not in data[-16:]:
            self.tally[1] += 1
        if self.stopping:
            self.transport.close()
        else:
            self.transport.write(next(self.requests))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.stopped.done():
            self.stopped.set_result(None)


async def run(port: int, requests: list[str], seconds: float, connections: int) -> dict[str, int]:
    loop = asyncio.get_running_loop()
    cycle = itertools.cycle([request.encode() for request in requests])
    tally = [0, 0]
    clients: list[Client] = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: Client(cycle, tally), "127.0.0.1", port)
        clients.append(client)
    await asyncio.sleep(seconds)
    for client in clients:
        client.stopping = True
    await asyncio.wait([client.stopped for client in clients], timeout=10)
    return {"answered": tally[0], "bad": tally[1]}


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(uvloop.run(run(**order))), flush=True)


if __name__ == "__main__":
    main()

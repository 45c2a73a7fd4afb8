"""Somebody else, who asks for a page all the time: prints the seconds of the slowest answer when its input ends.

Before that it prints a line when it was answered for the first time.
"""

from __future__ import annotations

import http.client
import select
import sys
import time

PAUSE = 0.005


def main(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    ask(connection)
    print("answered", flush=True)
    slowest = 0.0
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        begun = time.perf_counter()
        ask(connection)
        slowest = max(slowest, time.perf_counter() - begun)
    print(slowest)


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/")
    connection.getresponse().read()


if __name__ == "__main__":
    main(int(sys.argv[1]))

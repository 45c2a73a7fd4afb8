"""Somebody else, who asks for a page all the time: prints the seconds of the slowest answer when its input ends."""

from __future__ import annotations

import http.client
import select
import sys
import time

PAUSE = 0.005


def main(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    slowest = 0.0
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        begun = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        slowest = max(slowest, time.perf_counter() - begun)
    print(slowest)


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Stands in for curl where a page is played: the few options that pages use, at the port where the server really is."""

from __future__ import annotations

import argparse
import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx2


def main() -> None:
    asked = parse()
    jar, kept = asked.cookie_jar, asked.cookie
    headers = dict(line.split(": ", 1) for line in asked.header)
    cookies = json.loads(Path(kept).read_text()) if kept else {}
    url = httpx2.URL(asked.url).copy_with(port=port() or urlsplit(asked.url).port)
    with httpx2.Client(headers=headers, cookies=cookies, timeout=30, trust_env=False) as client:
        answer = client.get(url) if asked.json is None else client.post(url, json=json.loads(asked.json))
        if jar:
            Path(jar).write_text(json.dumps(dict(client.cookies)))
    print(answer.text)
    answer.raise_for_status()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--header", "-H", action="append", default=[])
    parser.add_argument("--json")
    parser.add_argument("--cookie")
    parser.add_argument("--cookie-jar")
    parser.add_argument("url")
    return parser.parse_args()


def port() -> int:
    """Where the player listens."""
    with socket.socket(fileno=os.dup(int(os.environ["LISTENING"]))) as listening:
        return int(listening.getsockname()[1])


if __name__ == "__main__":
    main()

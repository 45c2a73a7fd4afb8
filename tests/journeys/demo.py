"""Runs the demo as anybody would: a process, its printed lines, and signals to end it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

QUICKER = ("sign_in_client", "sign_up_client", "mail_address", "mail_client")
"""Limits that a journey reaches, whose hands are quicker than anybody's."""

PATIENCE = 60.0
"""Seconds to wait for a start: a loaded machine is slow."""


@dataclass(frozen=True)
class Demo:
    """A demo that serves."""

    process: subprocess.Popen[str]
    output: str

    @property
    def url(self) -> str:
        return self.line("Address")

    def line(self, label: str) -> str:
        return re.search(rf"^{label}: (.+)$", self.output, re.MULTILINE)[1]

    @property
    def curl(self) -> str:
        return re.search(r"^curl .+$", self.output, re.MULTILINE)[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def running(folder: Path, port: int | None = None) -> Iterator[Demo]:
    command = [str(Path(sys.executable).with_name("sigra")), "demo", "--port", str(port or free_port())]
    environment = {**os.environ, "SIGRA_LIMITS__RULES": json.dumps(dict.fromkeys(QUICKER, "1000/minute"))}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield Demo(process, _read_welcome(process))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _read_welcome(process: subprocess.Popen[str]) -> str:
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("curl "):
            return "".join(lines)
    raise RuntimeError(f"the demo ended: {''.join(lines)}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]

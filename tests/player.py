"""Plays a page of the documentation: writes the files that it shows, and runs its commands in a shell, in their order.

The shell is real, and so are the programs. What a test cannot do has a stand-in:
`pip install` checks that what it names is there, or builds and unpacks the package of the folder; a server runs in the
background at a free port, which `curl` knows; and whoever is asked for a password types `PASSWORD`.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PASSWORD = "correct horse battery staple"
PATIENCE = 300
"""Seconds; a busy machine is no failure."""

SHELL = """\
set -euo pipefail
python3() { if [ "$1 ${2-}" = "-m venv" ]; then mkdir -p "$3/bin"; touch "$3/bin/activate"; else "$PYTHON" "$@"; fi; }
pip() { "$PYTHON" "$STAND_INS/stand_in_pip.py" "$@"; }
curl() { "$PYTHON" "$STAND_INS/stand_in_curl.py" "$@"; }
uvicorn() { "$PYTHON" -m uvicorn "$@" --fd "$LISTENING" >server.log 2>&1 & }
sigra() {
  case "$1 ${2-}" in
    "users create") printf '%s\\n' "$PASSWORD" | "$BIN/sigra" "$@" --password-stdin ;;
    # A reader has installed what the page says: not the distributions that lie beside Sigra here.
    "doctor ") SIGRA_PLUGINS="${SIGRA_PLUGINS-defaults,-audit,-lockout,-oauth,-passkeys,-totp}" "$BIN/sigra" "$@" ;;
    *) "$BIN/sigra" "$@" ;;
  esac
}
pytest() { "$PYTHON" -m pytest "$@"; }
"""


@dataclass(frozen=True)
class Block:
    """A piece of code on a page.

    Args:
        language: The word behind the fence; empty without one.
        line: Where it begins.
    """

    page: str
    language: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that it shows: its first line is a comment with the path."""
        found = re.match(r"# ([\w./-]+\.(?:py|toml|html))\n", self.text)
        return found[1] if found else None


def blocks(page: str) -> list[Block]:
    """All code of a page, in order: fenced, also in lists, and indented (whose language is empty)."""
    tokens = MarkdownIt().parse((ROOT / page).read_text("utf-8"))
    code = [one for one in tokens if one.type in ("fence", "code_block")]
    return [Block(page, one.info.strip(), one.map[0] + 1 if one.map else 0, one.content) for one in code]


def executed(block: Block) -> Any:
    """Run a block as a module, which dataclasses and pydantic can look up."""
    module = ModuleType("example")
    sys.modules["example"] = module
    exec(compile(block.text, str(block), "exec"), vars(module))
    return module


@dataclass
class Played:
    """What is there after a page was played.

    Args:
        port: Where its server answers, if it started one.
    """

    folder: Path
    output: str
    port: int


@contextmanager
def played(page: str, folder: Path, *, variant: int = 0) -> Iterator[Played]:
    """Play a page in an empty folder; what it started ends with the block.

    Args:
        variant: Which one to take of a file that the page shows in several forms.
    """
    # Made here, so that a request waits in its queue until the server is there to answer.
    with socket.create_server(("127.0.0.1", 0)) as listening, started(page, folder, variant, listening) as shell:
        try:
            output, _ = shell.communicate(timeout=PATIENCE)
            assert shell.returncode == 0, output
            yield Played(folder, output, listening.getsockname()[1])
        finally:
            end_all_of(shell.pid)


def started(page: str, folder: Path, variant: int, listening: socket.socket) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-c", SHELL + script(page, variant)],
        cwd=folder,
        env=surroundings(folder, listening.fileno()),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=[listening.fileno()],
    )


def script(page: str, variant: int) -> str:
    """The page as a shell's script: a file is written where a reader would write it."""
    found = blocks(page)
    forms = Counter(block.file for block in found)
    seen: Counter[str | None] = Counter()
    steps = []
    for block in found:
        seen[block.file] += 1
        if block.file is None:
            steps.append(block.text if block.language == "sh" else "")
        elif seen[block.file] == min(variant + 1, forms[block.file]):
            steps.append(
                f"mkdir -p $(dirname {block.file})\ncat >{block.file} <<'END OF FILE'\n{block.text}END OF FILE\n"
            )
    return "".join(steps)


def surroundings(folder: Path, listening: int) -> dict[str, str]:
    """The environment of the shell: nothing of the one who runs the tests but where programs are."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHON": sys.executable,
        "BIN": str(Path(sys.executable).parent),
        "PYTHONPATH": str(folder / "site"),
        "STAND_INS": str(Path(__file__).parent),
        "PASSWORD": PASSWORD,
        "LISTENING": str(listening),
    }


def end_all_of(leader: int) -> None:
    """End the processes of a shell's group, of which some may have ended."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)

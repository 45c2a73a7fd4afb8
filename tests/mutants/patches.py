"""A mutant: a small patch that deletes one security rule, with a few lines before it that say what must notice.

`Hard-case: 36`, `Rule: a target that a browser reads as another host is refused`, `Tests: tests/…::test_hc36_… …`, and,
where not every database takes part, `Databases: sqlite`. The values are lists; one line each.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
MAXIMUM_LINES = 5
KEYS = {"Hard-case", "Rule", "Tests"}
OPTIONAL_KEYS = {"Databases"}
SOURCES = ("sigra/", "plugins-contrib/")


@dataclass(frozen=True, slots=True)
class Mutant:
    path: Path
    hard_cases: tuple[int, ...]
    rule: str
    tests: tuple[str, ...]
    databases: tuple[str, ...]
    """Empty: every database that the tests run on."""
    files: tuple[str, ...]
    lines: int

    @property
    def name(self) -> str:
        return self.path.stem

    def apply(self, folder: Path, *options: str) -> None:
        """Change the tree in the folder.

        Raises:
            ValueError: the patch does not fit.
        """
        command = ["git", "apply", *options, str(self.path)]
        # Outside of a repository git takes paths as they are; a repository around the folder must not be found.
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValueError(f"{self.name} does not apply: {done.stderr.strip()}")


def load_mutants() -> list[Mutant]:
    """Read every patch beside this file."""
    return [read_mutant(path) for path in sorted(FOLDER.glob("*.patch"))]


def read_mutant(path: Path) -> Mutant:
    """Read one patch.

    Raises:
        ValueError: its header is incomplete, or it is more than a small change of the source.
    """
    head, *diff = re.split(r"(?m)^(?=diff --git |--- )", path.read_text(), maxsplit=1)
    fields = dict(re.findall(r"(?m)^([\w-]+): (.*)$", head))
    if not KEYS <= fields.keys() <= KEYS | OPTIONAL_KEYS:
        raise ValueError(f"{path.name}: needs {sorted(KEYS)}, may have {sorted(OPTIONAL_KEYS)}, has {sorted(fields)}")
    files = tuple(dict.fromkeys(re.findall(r"(?m)^(?:---|\+\+\+) [ab]/(\S+)", "".join(diff))))
    mutant = Mutant(
        path=path,
        hard_cases=tuple(int(number) for number in fields["Hard-case"].replace(",", " ").split()),
        rule=fields["Rule"],
        tests=tuple(fields["Tests"].split()),
        databases=tuple(fields.get("Databases", "").replace(",", " ").split()),
        files=files,
        lines=count_changed_lines("".join(diff)),
    )
    if not files or not all(name.startswith(SOURCES) for name in files):
        raise ValueError(f"{path.name}: changes {files}, and may change only {SOURCES}")
    if mutant.lines > MAXIMUM_LINES:
        raise ValueError(f"{path.name}: changes {mutant.lines} lines, more than {MAXIMUM_LINES}")
    return mutant


def count_changed_lines(diff: str) -> int:
    """Count changed lines, one that is written otherwise once: per hunk the larger of what went and what came."""
    hunks = re.split(r"(?m)^@@", diff)[1:]
    return sum(max(len(re.findall(r"(?m)^-(?!--)", hunk)), len(re.findall(r"(?m)^\+(?!\+\+)", hunk))) for hunk in hunks)

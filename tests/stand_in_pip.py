"""Stands in for pip where a page is played: nothing is fetched, and everything that is named must be here."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement


def main(arguments: list[str]) -> None:
    command, *wanted = arguments
    assert command == "install", arguments
    for one in wanted:
        if one == ".":
            install(Path())
        elif one != "--editable":
            check(Requirement(one))


def check(requirement: Requirement) -> None:
    """A distribution of that name is here, and knows the extras."""
    found = distribution(requirement.name)
    unknown = requirement.extras - set(found.metadata.get_all("Provides-Extra") or ())
    assert not unknown, f"{requirement.name} has no extra {', '.join(unknown)}"


def install(project: Path) -> None:
    """Build the wheel and unpack it, which is what installing one means; what it depends on must be here."""
    for one in tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]:
        check(Requirement(one))
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], check=True, cwd=project)
    for wheel in (project / "dist").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(os.environ["PYTHONPATH"])  # the player's folder for this


if __name__ == "__main__":
    main(sys.argv[1:])

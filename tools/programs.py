"""Install the programs that the tests drive (servers, a browser, others' tools) where Debian's package tool is there.

`python3 tools/programs.py sqlite,postgresql,mariadb` looks for what those databases and the rest of the tests need.
What is missing is installed as root; without root nothing is done, the command to run is printed and the status is 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = {
    # package: the programs that must be found
    "postgresql": ("initdb", "postgres"),
    "mariadb-server-core": ("mariadbd", "mariadb-install-db"),
    "mariadb-client-core": ("mariadb",),
    "redis-server": ("redis-server",),
    "chromium": ("chromium",),
    "oathtool": ("oathtool",),
    "nodejs": ("node",),
    "npm": ("npm",),
}
PACKAGES = {
    "sqlite": (),
    "postgresql": ("postgresql",),
    "mariadb": ("mariadb-server-core", "mariadb-client-core"),
}
ALWAYS = ("redis-server", "chromium", "oathtool", "nodejs", "npm")
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")


def main(databases: str) -> None:
    names = [name.strip() for name in databases.split(",")]
    if unknown := set(names) - set(PACKAGES):
        sys.exit(f"DATABASES: unknown {', '.join(sorted(unknown))}; known: {', '.join(PACKAGES)}")
    missing = missing_packages(names)
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        command = " ".join([*INSTALL, *missing])
        sys.exit(f"The tests need programs that are not installed. Run as root, then try again:\n\n    {command}\n")
    install(missing)
    if still := missing_packages(names):
        sys.exit(f"installed, but their programs are not found: {', '.join(still)}")


def missing_packages(databases: Sequence[str]) -> list[str]:
    needed = [*(package for name in databases for package in PACKAGES[name]), *ALWAYS]
    return [package for package in needed if not all(map(is_installed, PROGRAMS[package]))]


def is_installed(program: str) -> bool:
    """Look where Debian puts servers, too: /usr/sbin, and a folder for each version of PostgreSQL."""
    folders = [os.environ.get("PATH", os.defpath), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(program, path=os.pathsep.join(folders)) is not None


def install(packages: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "--quiet"], [*INSTALL, "--quiet", *packages]):
        print("+", " ".join(command), flush=True)
        if subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite,postgresql,mariadb")

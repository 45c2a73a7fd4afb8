"""Install the programs that the tests drive (servers, a browser, others' tools) where Debian's package tool is there.

`python3 tools/programs.py sqlite,postgresql,mariadb` looks for what those databases and the rest of the tests need.
What is missing is installed as root; without root nothing is done, the command to run is printed and the status is 1.
"""

from __future__ import annotations

import json
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
NODE = Path(__file__).resolve().parent.parent / ".node"
NODE_PACKAGES = {"@simplewebauthn/server": "14.0.3", "oidc-provider": "9.13.3"}
"""Other implementations that ours are compared with, for node, at the versions that were tried."""
ALWAYS = ("redis-server", "chromium", "oathtool", "nodejs", "npm")
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")


def main(databases: str) -> None:
    names = [name.strip() for name in databases.split(",")]
    if unknown := set(names) - set(PACKAGES):
        sys.exit(f"DATABASES: unknown {', '.join(sorted(unknown))}; known: {', '.join(PACKAGES)}")
    install_programs(missing_packages(names), names)
    install_node_packages()


def install_programs(missing: Sequence[str], names: Sequence[str]) -> None:
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


def install_node_packages() -> None:
    """Install what the tests run in node, into a folder of the tree; needs no rights."""
    if all(installed_version(name) == version for name, version in NODE_PACKAGES.items()):
        return
    # All at once: what it is not asked for, and is in no list, npm removes.
    wanted = [f"{name}@{version}" for name, version in NODE_PACKAGES.items()]
    NODE.mkdir(exist_ok=True)
    options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    command = ["npm", "install", f"--prefix={NODE}", *options, *wanted]
    print("+", " ".join(command), flush=True)
    if subprocess.run(command, cwd=NODE, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")


def installed_version(name: str) -> str | None:
    """Return the version of a node package that is there; None without one."""
    file = NODE / "node_modules" / name / "package.json"
    return str(json.loads(file.read_text())["version"]) if file.exists() else None


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite,postgresql,mariadb")

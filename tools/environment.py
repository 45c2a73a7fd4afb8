"""Make a virtual environment from `requirements.lock` with nothing but Python 3.11 or newer and a pip at hand.

Debian's bare python3 has no ensurepip, so the environment is made without pip and filled by one from outside.
`python3 tools/environment.py .venv` makes the one to work in; with `--for=3.12` it is made for that version if present,
which is answered by status 3 when it is not.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
ABSENT = 3
STAMP = ".stamp"
LEADING_ASTRAY = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""What a caller may have set for installations and environments of their own."""
SOURCES = ("requirements.lock", "pyproject.toml", "plugins-contrib/*/pyproject.toml")


def main() -> None:
    if sys.version_info < OLDEST:
        sys.exit(f"Sigra needs Python 3.11 or newer, this is {sys.version.split()[0]}: make PYTHON=python3.12 …")
    arguments = parse()
    interpreter = find_interpreter(arguments.version) if arguments.version else sys.executable
    if interpreter is None:
        sys.exit(ABSENT)
    environment = ROOT / arguments.folder
    wanted = digest_of_sources()
    if not is_filled(environment, wanted):
        create(environment, interpreter)
        install(environment)
        (environment / STAMP).write_text(wanted)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--for", dest="version", help="the Python to make it for, as in 3.12")
    return parser.parse_args()


def digest_of_sources() -> str:
    """Digest what an environment is made from; times would tell less: copies and checkouts set them as they like."""
    sources = [source for pattern in SOURCES for source in sorted(ROOT.glob(pattern))]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def is_filled(environment: Path, wanted: str) -> bool:
    """Tell whether the environment works, and was filled to the end from what there is now."""
    stamp = environment / STAMP
    return stamp.exists() and stamp.read_text() == wanted and is_running(str(python_of(environment)))


def find_interpreter(version: str) -> str | None:
    """Return a Python of that version: on PATH, or one of pyenv's, whose stand-in on PATH answers only when chosen."""
    command = shutil.which(f"python{version}")
    if command is None:
        return None
    others = Path(command).parent.parent.glob(f"versions/{version}.*/bin/python{version}")
    return next((path for path in [command, *map(str, sorted(others))] if is_running(path)), None)


def is_running(interpreter: str) -> bool:
    try:
        return subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def create(environment: Path, interpreter: str) -> None:
    """Make the environment; one that still works is kept, and only brought up to the lock."""
    if not is_running(str(python_of(environment))):
        print(f"Making {environment.name} …", flush=True)
        run([interpreter, "-m", "venv", "--without-pip", "--clear", str(environment)])


def install(environment: Path) -> None:
    """Install what is locked, then ourselves and our workspace from here, which asks the network for nothing."""
    target = [*find_pip(environment), f"--python={python_of(environment)}", "install", "--quiet"]
    target += ["--disable-pip-version-check", "--no-input"]
    print(f"Installing requirements.lock into {environment.name} …", flush=True)
    run([*target, "--require-hashes", "--requirement=requirements.lock"])
    members = [".", *(str(path.parent) for path in sorted(ROOT.glob("plugins-contrib/*/pyproject.toml")))]
    run([*target, "--no-deps", "--no-build-isolation", *(f"--editable={member}" for member in members)])


def find_pip(environment: Path) -> list[str]:
    """Return a command for a pip that can fill the environment.

    pip runs under the Python that it fills, so an old one breaks on a newer Python. The lock holds a pip that knows
    all of them: the environment to work in is filled first, by whatever pip there is, and fills the others.
    """
    worker = ROOT / ".venv"
    if environment != worker and (worker / STAMP).exists():
        return [str(python_of(worker)), "-m", "pip"]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    command = shutil.which("pip3") or shutil.which("pip")
    if command is None:
        sys.exit("pip is missing; on Debian: apt-get install python3-pip")
    return [command]


def run(command: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in LEADING_ASTRAY}
    try:
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"failed: {' '.join(command)} (status {error.returncode})")


if __name__ == "__main__":
    main()

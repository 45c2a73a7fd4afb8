"""Run the whole suite here, a quicker pass on every other Python that is present, and say what ran on what.

After the whole suite every hook, option, event, action, error code and route that it left out is a failure, too, and
so is every route that was seen to issue a credential and is not shown to stop at a second factor.

`.venv/bin/python tools/run_tests.py sqlite,postgresql,mariadb`; ends with status 1 when any pass failed or was empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import exercised, servers  # noqa: E402  # a script finds its own folder only

# The files of tests are shared out among as many processes as there are cores; all of them use the same servers.
AT_ONCE = ("--dist=loadfile", "--no-loadscope-reorder")
VERSIONS = ("3.11", "3.12", "3.13")
ON_THE_INTERPRETER = (
    "tests/db",
    "tests/hooks",
    "tests/integrations",
    "tests/middleware",
    "tests/plugins/test_password.py",
    "tests/plugins/test_sessions.py",
    "tests/test_contract.py",
    "tests/test_flows.py",
    "tests/test_guards.py",
    "tests/test_testing.py",
    "tests/worker",
)
"""Event loops, contexts, signatures, drivers and frameworks: what another Python may do otherwise."""
QUICK = ("--databases=sqlite", *ON_THE_INTERPRETER)
DATABASES = ("sqlite", "postgresql", "mariadb")
ABSENT = 3


def main(databases: str) -> None:
    here = "{}.{}".format(*sys.version_info)
    # Mostly waiting for the network: made while the suite runs.
    others = {version: start_making(version) for version in VERSIONS if version != here}
    with servers.running([name for name in servers.SERVERS if name in databases.split(",")]) as urls:
        report = whole_suite(here, databases, urls)
    report += quick_passes(others)
    left_out = [name for name in DATABASES if name not in databases.split(",")]
    print()
    print(*(line for line, _ in report), sep="\n")
    if left_out:
        print(f"NOT TESTED: {', '.join(left_out)}")
    sys.exit(0 if all(good for _, good in report) else 1)


def whole_suite(here: str, databases: str, urls: Mapping[str, str]) -> list[tuple[str, bool]]:
    """Run everything, then ask what of all that Sigra declares nothing has exercised."""
    with TemporaryDirectory() as folder:
        options = ["--numprocesses=auto", f"--databases={databases}", f"--exercised={folder}"]
        whole = passed(sys.executable, here, f"whole suite on {databases}", options, urls)
        return [whole, *(left_over(Path(folder)) if whole[1] else ())]


def left_over(folder: Path) -> list[tuple[str, bool]]:
    """A failure for each thing that the run which wrote into the folder did not exercise, or found unguarded."""
    unguarded = [
        f"FAILED: {route} issues a credential, and tests/distributions/issuing.py has no way to it"
        for route in exercised.unguarded(folder)
    ]
    missing = [f"FAILED: no test exercises {what}" for what in exercised.missing(folder)]
    return [(line, False) for line in (*missing, *unguarded)]


def start_making(version: str) -> subprocess.Popen[str]:
    command = [sys.executable, "tools/environment.py", f".venv-{version}", f"--for={version}"]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def quick_passes(others: Mapping[str, subprocess.Popen[str]]) -> list[tuple[str, bool]]:
    """All of them beside each other, each with its share of the cores."""
    share = max(1, (os.cpu_count() or 1) // len(others))
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda version: quick_pass(version, others[version], share), others))


def quick_pass(version: str, making: subprocess.Popen[str], processes: int) -> tuple[str, bool]:
    """Test on another Python in an environment of its own; one that is absent is said, and fails nothing."""
    output, _ = making.communicate()
    if making.returncode == ABSENT:
        return f"NOT TESTED: Python {version} (not present)", True
    if making.returncode != 0:
        return f"FAILED: Python {version}: its environment could not be made:\n{output}", False
    options = [f"--numprocesses={processes}", *QUICK]
    what = "sqlite, what stands on the interpreter"
    return passed(f".venv-{version}/bin/python", version, what, options, output=subprocess.PIPE)


def passed(
    python: str,
    version: str,
    what: str,
    options: Sequence[str],
    urls: Mapping[str, str] = MappingProxyType({}),
    output: int | None = None,
) -> tuple[str, bool]:
    """Run pytest; only its status 0 counts, so that "no tests were collected" (5) fails as well.

    Args:
        output: Where it goes meanwhile; what comes back through a pipe is printed as a whole.
    """
    title = f"\n=== Python {version}: {what} ==="
    if output is None:
        print(title, flush=True)
    command = [python, "-m", "pytest", "--quiet", *AT_ONCE, *options]
    environment = {**os.environ, "TEST_SERVERS": json.dumps(dict(urls))}
    # Without bytecode every process compiles all of it anew, and pytest rewrites every assertion.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=output, stderr=output, text=True)
    if output is not None:
        print(f"{title}\n{done.stdout}{done.stderr}", flush=True)
    good = done.returncode == 0
    return f"{'TESTED' if good else 'FAILED'}: Python {version}: {what}", good


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ",".join(DATABASES))

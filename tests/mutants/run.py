"""Delete one security rule at a time and see that its tests notice, by an assertion, on every database.

`python -m tests.mutants.run [--databases=…] [NAME …]` ends with 1 when a mutant survives, breaks more than its rule
(the canary dies, a test ends by an error), or does not apply.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import servers
from tests.mutants.patches import ROOT, Mutant, load_mutants
from tests.mutants.recorder import REPORT

DATABASES = ("sqlite", "postgresql", "mariadb")
TIME_LIMIT = 1800.0
"""Seconds for one run of pytest: the tests of every mutant, before any, take the longest."""
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", ".hypothesis", ".sigra-demo")
KILLED = "killed"


def main() -> None:
    arguments = parse()
    databases = tuple(arguments.databases.split(","))
    mutants = [mutant for mutant in load_mutants() if not arguments.names or mutant.name in arguments.names]
    if not mutants or (arguments.names and len(mutants) != len(set(arguments.names))):
        sys.exit("no such mutant; there are: " + " ".join(mutant.name for mutant in load_mutants()))
    with servers.running([name for name in servers.SERVERS if name in databases]) as urls:
        environment = {**os.environ, "TEST_SERVERS": json.dumps(urls), "PYTHONDONTWRITEBYTECODE": "1"}
        check_untouched(mutants, databases, environment)
        good = all([*report(mutants, databases, environment)])
    if left_out := [name for name in DATABASES if name not in databases]:
        print(f"NOT TESTED: {', '.join(left_out)}")
    sys.exit(0 if good else 1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", default=",".join(DATABASES))
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    return parser.parse_args()


def report(mutants: Sequence[Mutant], databases: Sequence[str], environment: Mapping[str, str]) -> Iterator[bool]:
    """Print one line a mutant; yield whether it was killed."""
    width = max(len(mutant.name) for mutant in mutants)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        verdicts = threads.map(lambda mutant: judge(mutant, databases, environment), mutants)
        for mutant, verdict in zip(mutants, verdicts, strict=True):
            cases = "+".join(map(str, mutant.hard_cases))
            print(f"{mutant.name:{width}}  hc {cases:6}  {verdict}", flush=True)
            yield verdict.startswith(KILLED)


def check_untouched(mutants: Sequence[Mutant], databases: Sequence[str], environment: Mapping[str, str]) -> None:
    """Stop when a named test is red already: its redness would prove nothing."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with copied_tree() as folder:
        check_canary(folder, environment)
        red = [line for line in run_tests(folder, tests, databases, environment) if line["outcome"] != "passed"]
    if red:
        sys.exit("red without any mutant:\n" + "\n".join(f"{line['test']}: {line['text']}" for line in red))


def judge(mutant: Mutant, databases: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the verdict on one mutant: `killed …` when every named test noticed it on every database it runs on."""
    chosen = [name for name in databases if name in (mutant.databases or DATABASES)]
    if not chosen:
        return f"NOT TESTED: needs {', '.join(mutant.databases)}"
    try:
        with copied_tree() as folder:
            mutant.apply(folder)
            check_canary(folder, environment)
            return verdict_of(mutant.tests, run_tests(folder, mutant.tests, chosen, environment))
    except (Broken, ValueError) as problem:
        return f"BROKEN: {problem}"


class Broken(Exception):
    """Raised when a mutant breaks more than its rule."""


@contextmanager
def copied_tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sigra-mutant-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_BEHIND)
        yield tree


def check_canary(folder: Path, environment: Mapping[str, str]) -> None:
    status, output = run(folder, ["tests/mutants/canary.py"], environment)
    if status != 0:
        raise Broken("the canary died: " + (output.strip().splitlines() or ["without a word"])[-1])


def run_tests(
    folder: Path, tests: Collection[str], databases: Sequence[str], environment: Mapping[str, str]
) -> list[dict[str, str]]:
    """Run the tests in the copy; return what the recorder wrote.

    Raises:
        Broken: pytest itself did not come to an end, or did not find the tests.
    """
    recorded = folder.parent / "report"
    command = ["-m", "pytest", "-p", "tests.mutants.recorder", "-p", "no:cacheprovider", "--quiet", "-m", ""]
    status, output = run(
        folder,
        [*command, "--everywhere", f"--databases={','.join(databases)}", *tests],
        {**environment, REPORT: str(recorded)},
    )
    if status not in (0, 1) or not recorded.exists():
        raise Broken(f"pytest ended with {status}: {output.strip()[-500:]}")
    return [json.loads(line) for line in recorded.read_text().splitlines()]


def run(folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run Python in the copy, whose source goes before the installed one; return its status and output."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(map(str, [folder, *folder.glob("plugins-contrib/*/src")]))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        raise Broken(f"no end after {TIME_LIMIT:.0f} s") from None
    finally:
        end_group(process.pid)
    return process.returncode, output


def end_group(leader: int) -> None:
    """End what the tests started and left behind."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def verdict_of(tests: Sequence[str], lines: Sequence[Mapping[str, str]]) -> str:
    """Judge by group of test and database: at least one of its cases fails by an assertion, none by an error."""
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in lines:
        # A test that failed may leave things behind; what its teardown says about them is not the point.
        if line["phase"] != "teardown":
            groups[line["test"], line["database"] or "no database"].add(line["outcome"])
    missing = {test.partition("[")[0] for test in tests} - {test for test, _ in groups}
    errors = [f"{test} on {database}" for (test, database), outcomes in groups.items() if "error" in outcomes]
    survived = [f"{test} on {database}" for (test, database), outcomes in groups.items() if "assertion" not in outcomes]
    if missing:
        return f"NOT RUN: {', '.join(sorted(missing))}"
    if errors:
        texts = {line["text"] for line in lines if line["outcome"] == "error" and line["phase"] != "teardown"}
        return f"ERROR instead of an assertion: {', '.join(errors)}: {'; '.join(sorted(texts))}"
    if survived:
        return f"SURVIVED: {', '.join(survived)}"
    return f"{KILLED} by {len(tests)} on {', '.join(sorted({database for _, database in groups}))}"


if __name__ == "__main__":
    try:
        main()
    except (Broken, ValueError) as problem:
        sys.exit(str(problem))

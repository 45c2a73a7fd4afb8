"""One fresh, empty database a test, on every database that was asked for; what was left out is said at the end."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import re
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import asyncmy
import hypothesis
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests import servers

DATABASES = ("sqlite", "postgresql", "mariadb")
SHARED_SERVERS = "TEST_SERVERS"
"""Name of a variable that holds `servers.running()`'s answer as JSON when servers run already (the mutants' do)."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--databases", default=",".join(DATABASES), help="comma list of sqlite, postgresql, mariadb")
    parser.addoption("--everywhere", action="store_true", help="every test of a plugin on every database")
    parser.addoption("--exercised", help="folder for what the run exercises; see tests/exercised.py")


def pytest_configure(config: pytest.Config) -> None:
    # Time is no fact about our code: a busy machine is no failure.
    hypothesis.settings.register_profile("sigra", deadline=None)
    hypothesis.settings.load_profile("sigra")
    chosen_databases(config)
    # SQLite waits for the disk at every commit; what a test keeps needs none.
    if memory := servers.roomy_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", memory)
    # The tests' answers must not depend on the settings of the one who runs them.
    for name in [name for name in os.environ if name.startswith("SIGRA_")]:
        del os.environ[name]
    if config.getoption("--exercised"):
        # Only where it is asked for: it looks on at every call.
        from tests.exercised import Recorder

        config.pluginmanager.register(Recorder(Path(config.getoption("--exercised"))))


def chosen_databases(config: pytest.Config) -> tuple[str, ...]:
    names = [name.strip() for name in str(config.getoption("--databases")).split(",")]
    if unknown := set(names) - set(DATABASES):
        raise pytest.UsageError(f"--databases: unknown {', '.join(sorted(unknown))!r}; known: {', '.join(DATABASES)}")
    return tuple(name for name in DATABASES if name in names)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" not in metafunc.fixturenames:
        return
    metafunc.parametrize("database", databases_for(metafunc), indirect=True, scope="function")


def databases_for(metafunc: pytest.Metafunc) -> tuple[str, ...]:
    """Where a test runs.

    Of a plugin's, those of a hard case run on one server too, which by its name, since the databases differ below it;
    on all of them only what several do at once; and on a server each once (`again_on_a_server`). `--everywhere` leaves
    nothing out.
    """
    marker = metafunc.definition.get_closest_marker("databases")
    if marker:
        return marker.args
    if not is_of_a_plugin(metafunc.definition) or metafunc.config.getoption("--everywhere"):
        return DATABASES
    if "_hc" not in metafunc.definition.nodeid:
        return ("sqlite",)
    if AT_ONCE.search(inspect.getsource(metafunc.function)):
        return DATABASES
    return ("sqlite", DATABASES[1 + zlib.crc32(metafunc.function.__name__.encode()) % 2])


def is_of_a_plugin(test: pytest.Item) -> bool:
    return test.nodeid.startswith(("tests/plugins/", "tests/distributions/", "plugins-contrib/"))


def again_on_a_server(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """A plugin's tests with other arguments on a server that has run one of theirs: they ask it the same things."""
    seen, again = set[tuple[str, str]](), []
    for item in items:
        database = database_of(item)
        chosen_by_hand = item.get_closest_marker("databases") or item.get_closest_marker("soak")
        if database in (None, "sqlite") or not is_of_a_plugin(item) or chosen_by_hand:
            continue
        test = (item.nodeid.partition("[")[0], database)
        again += [item] * (test in seen)
        seen.add(test)
    return again


AT_ONCE = re.compile(r"gather\(|racers|cable|killed|Process\(|subprocess")
"""How a test has several do something at once, or cuts them off."""


LONGEST = (
    "tests/test_kills.py",
    "tests/test_rotation.py",
    "tests/worker/test_processes.py",
    "tests/test_schemathesis.py",
    "tests/distributions",
    "tests/docs",
    "tests/journeys",
    "tests/cli",
)
"""Begun last, one of these would keep one core busy while the other has nothing left to do."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the databases that were not asked for, counted by pytest as deselected; what takes longest begins."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    chosen = chosen_databases(config)
    out = {item for item in items if database_of(item) not in (None, *chosen)}
    if not config.getoption("--everywhere"):
        out.update(again_on_a_server(items))
    if out:
        config.hook.pytest_deselected(items=[*out])
        items[:] = [item for item in items if item not in out]


def pytest_collection_finish() -> None:
    """Leave out, whenever garbage is collected, what is there before the first test: it stays to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def database_of(item: pytest.Item) -> str | None:
    """Return the name of the database that a test runs on; None for a test without one."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("database") if callspec else None


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = [name for name in DATABASES if name not in chosen_databases(config)]
    if left_out:
        terminalreporter.write_line(f"NOT TESTED: {', '.join(left_out)}", yellow=True)
    if not_run(config):
        terminalreporter.write_line("A test was skipped or expected to fail: neither is allowed here.", red=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the whole run when a test was skipped: what cannot run must be loud."""
    if session.exitstatus == pytest.ExitCode.OK and not_run(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def not_run(config: pytest.Config) -> bool:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return any(reporter.stats.get(outcome) for outcome in ("skipped", "xfailed", "xpassed")) if reporter else False


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every `async def test_…` on asyncio: SQLAlchemy's asyncio layer runs on nothing else."""
    return "asyncio"


@pytest.fixture(scope="session")
def database_servers(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """Start, all at once, the servers that the collected tests need."""
    shared = os.environ.get(SHARED_SERVERS)
    if shared is not None:
        yield json.loads(shared)
        return
    needed = {database_of(item) for item in request.session.items}
    with servers.running([name for name in servers.SERVERS if name in needed]) as urls:
        yield urls


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh empty database of the test's own: its SQLAlchemy URL, with an async driver.

    `@pytest.mark.databases("postgresql", "mariadb")` keeps a test to some of them.
    """
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite3'}"
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgresql_database")
        execute_on_postgresql(url, EMPTY)
        yield url
    else:
        execute, name = request.getfixturevalue("mariadb"), f"test_{uuid.uuid4().hex}"
        execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        yield f"{request.getfixturevalue('database_servers')['mariadb']}{name}"
        execute(f"DROP DATABASE {name}")


EMPTY = r"""DO $$ DECLARE name text; BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
    LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP;
    CREATE SCHEMA public;
END $$"""
"""Make a database of PostgreSQL as it was: nobody connected, nothing in it."""


@pytest.fixture(scope="module")
def postgresql_database(database_servers: Mapping[str, str]) -> Iterator[str]:
    """A database of PostgreSQL: making one takes ten times as long as emptying it."""
    server, name = database_servers["postgresql"], f"test_{uuid.uuid4().hex}"
    execute_on_postgresql(f"{server}postgres", f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
    yield f"{server}{name}"
    execute_on_postgresql(f"{server}postgres", f"DROP DATABASE {name} WITH (FORCE)")


def execute_on_postgresql(url: str, statement: str) -> None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture(scope="session")
def mariadb(database_servers: Mapping[str, str]) -> Iterator[Callable[[str], None]]:
    """Runs a statement on MariaDB, in an event loop of its own: no synchronous driver is among what we install."""
    url, loop = make_url(database_servers["mariadb"]), asyncio.new_event_loop()
    who = {"user": url.username, "password": url.password}
    # A transaction that a test left open would make us wait for its metadata lock; say so instead.
    connecting = asyncmy.connect(
        host=url.host, port=url.port, **who, autocommit=True, init_command="SET lock_wait_timeout = 5"
    )
    connection = loop.run_until_complete(connecting)

    async def run(statement: str) -> None:
        async with connection.cursor() as cursor:
            await cursor.execute(statement)

    yield lambda statement: loop.run_until_complete(run(statement))
    loop.run_until_complete(connection.ensure_closed())
    loop.close()

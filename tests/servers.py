"""Throw-away PostgreSQL, MariaDB and Redis servers on free loopback ports, for as long as who asked for them lives.

`python tests/servers.py postgresql mariadb` prints one JSON line of URLs when all are ready and serves until its
standard input ends. A pipe ends however its holder dies, so nothing is left running, not even after SIGKILL.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

START_LIMIT = 60.0
STOP_LIMIT = 20.0
USER = "sigra"


class ServerFailed(Exception):
    """Raised when a server's program is missing, ends early or is not ready in time; holds the end of its log."""


@contextmanager
def running(names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Serve the named databases from a process of their own; yield name → URL of a user who may make databases."""
    if not names:
        yield {}
        return
    command = [sys.executable, __file__, *names]
    # A session of its own: Ctrl-C reaches the tests, which end the pipe, and not the servers in the middle of a test.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        answer = keeper.stdout.readline()
        if not answer:
            raise ServerFailed("the test servers did not start, see above")
        try:
            yield json.loads(answer)
        finally:
            keeper.stdin.close()
            keeper.wait(STOP_LIMIT * 2)


def find_program(name: str) -> str:
    """Return the path of a server's program: on PATH, among the administrator's, or in the newest PostgreSQL.

    Raises:
        ServerFailed: it is not installed.
    """
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    path = os.pathsep.join([*map(str, versions), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerFailed(f"{name} is not installed; `make test` as root installs it")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(folder: Path, command: Sequence[str]) -> None:
    """Run a preparing step to its end as the servers' user."""
    process = spawn(folder, command)
    if process.wait(START_LIMIT) != 0:
        raise ServerFailed(log_tail(folder, command))


def spawn(folder: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program in the folder, as `nobody` when we are root (the databases refuse to run as root)."""
    identity = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    with log_path(folder, command).open("ab") as log:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]  # the identity is all or nothing
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **identity
        )


def log_path(folder: Path, command: Sequence[str]) -> Path:
    return folder / f"{Path(command[0]).name}.log"


def log_tail(folder: Path, command: Sequence[str]) -> str:
    lines = log_path(folder, command).read_text(errors="replace").splitlines()
    return "\n".join([f"{command[0]} failed:", *lines[-20:]])


@contextmanager
def served(folder: Path, command: Sequence[str], ready: Callable[[], bool], stop: signal.Signals) -> Iterator[None]:
    """Run a server until the block ends; enter the block when it is ready."""
    process = spawn(folder, command)
    try:
        deadline = time.monotonic() + START_LIMIT
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(log_tail(folder, command))
            time.sleep(0.02)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def roomy_memory() -> str | None:
    """Return the folder kept in memory when a gigabyte is free in it: making a database is five times faster there."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 2**30 else None


@contextmanager
def private_folder(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"sigra-{name}-", dir=roomy_memory()))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgresql() -> Iterator[str]:
    """Serve PostgreSQL with everything that only protects against a loss of power switched off."""
    password = secrets.token_hex(16)
    with private_folder("postgresql") as folder:
        data, secret, port = folder / "data", folder / "password", free_port()
        secret.write_text(password)
        secret.chmod(0o644)  # the folder itself is closed to all others
        initdb = [find_program("initdb"), f"--pgdata={data}", f"--username={USER}", f"--pwfile={secret}"]
        run(folder, [*initdb, "--auth=password", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
            "max_connections": 400,
            "shared_buffers": "64MB",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "jit": "off",
        }
        command = [find_program("postgres"), "-D", str(data), *(f"--{key}={value}" for key, value in options.items())]
        with served(folder, command, lambda: is_postgresql_ready(data), signal.SIGINT):  # "fast": ends connections
            yield f"postgresql+asyncpg://{USER}:{password}@127.0.0.1:{port}/"


def is_postgresql_ready(data: Path) -> bool:
    """Read the server's own word, as `pg_ctl --wait` does: the last line of its pid file."""
    try:
        return (data / "postmaster.pid").read_text().rstrip().endswith("ready")
    except FileNotFoundError:
        return False


@contextmanager
def mariadb() -> Iterator[str]:
    """Serve MariaDB with the same things switched off."""
    password = secrets.token_hex(16)
    with private_folder("mariadb") as folder:
        data, first, port = folder / "data", folder / "first.sql", free_port()
        first.write_text(
            f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        first.chmod(0o644)
        install = [find_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", f"--tmpdir={folder}"]
        run(folder, [*install, "--skip-test-db", "--auth-root-authentication-method=socket", "--skip-name-resolve"])
        options = {
            "datadir": data,
            "tmpdir": folder,
            "socket": folder / "mariadb.sock",
            "pid-file": folder / "mariadb.pid",
            "bind-address": "127.0.0.1",
            "port": port,
            "init-file": first,
            "max-connections": 400,
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-doublewrite": 0,
            "innodb-buffer-pool-size": "64M",
            "innodb-log-file-size": "32M",
            "character-set-server": "utf8mb4",
            # A file and rows of statistics for each of a test's tables are most of what it waits for.
            "innodb-file-per-table": 0,
            "innodb-stats-persistent": 0,
        }
        switches = ["--no-defaults", "--skip-log-bin", "--skip-name-resolve", "--skip-sync-frm"]
        command = [find_program("mariadbd"), *switches, *(f"--{key}={value}" for key, value in options.items())]
        with served(folder, command, lambda: is_greeting(port), signal.SIGTERM):
            yield f"mariadb+asyncmy://{USER}:{password}@127.0.0.1:{port}/"


def is_greeting(port: int) -> bool:
    """Tell whether the server speaks: its port is open before its first statements have run, its greeting is not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
            return len(connection.recv(1)) == 1
    except OSError:
        return False


@contextmanager
def redis(port: int | None = None) -> Iterator[str]:
    """Serve Redis, which keeps nothing, to a user of its own; on the same port again when one is given."""
    password, port = secrets.token_hex(16), port or free_port()
    with private_folder("redis") as folder:
        rules = folder / "users.acl"
        rules.write_text(f"user default off\nuser {USER} on >{password} ~* &* +@all\n")
        rules.chmod(0o644)
        command = [find_program("redis-server"), "--bind", "127.0.0.1", "--port", str(port)]
        command += ["--save", "", "--appendonly", "no", "--aclfile", str(rules)]
        with served(folder, command, lambda: is_redis_ready(port), signal.SIGTERM):
            yield f"redis://{USER}:{password}@127.0.0.1:{port}/1"


def is_redis_ready(port: int) -> bool:
    """Tell whether the server speaks, if only to ask who is there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"-NOAUTH"
    except OSError:
        return False


SERVERS = {"postgresql": postgresql, "mariadb": mariadb, "redis": redis}


def main(names: Sequence[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        with ThreadPoolExecutor() as threads:
            starts = [(name, threads.submit(stack.enter_context, SERVERS[name]())) for name in names]
        print(json.dumps({name: start.result() for name, start in starts}), flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ServerFailed as problem:
        sys.exit(str(problem))

"""Whether other accounts of the machine can read or write the files that hold settings and data."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from sigra import sources
from sigra.cli.doctor.finding import Finding

WRITABLE = stat.S_IWGRP | stat.S_IWOTH
READABLE = stat.S_IROTH
"""The group may read: so does a service whose settings another account owns."""

IN_MEMORY = ("", ":memory:", "file::memory:")
"""What SQLite calls a database without a file (sqlite.org/inmemorydb.html)."""


def of_settings(environ: Mapping[str, str], directory: Path) -> Iterator[Finding]:
    """What is wrong with the mode of `sigra.toml`, or of the file in its place."""
    path = directory / (environ.get(sources.FILE_VARIABLE) or sources.FILE)
    mode = _mode(path)
    if mode & WRITABLE:
        yield Finding(
            str(path),
            "Others than its owner may write it, and so choose what is run and who is let in.",
            f"Run `chmod go-w {quote(str(path))}`.",
        )
    if mode & READABLE and _holds_secrets(path):
        yield Finding(
            str(path),
            "Everybody on this machine can read the secrets in it.",
            f"Run `chmod 600 {quote(str(path))}` (640 for a group that needs it), and change the secrets.",
        )


def of_database(url: URL) -> Iterator[Finding]:
    """What is wrong with the mode of an SQLite database."""
    path = database_file(url)
    if path is not None and _mode(path) & (WRITABLE | READABLE):
        yield Finding(
            str(path),
            "Others on this machine can read or write the database.",
            f"Run `chmod 600 {quote(str(path))}*`, and keep its folder from them too (`chmod 700`).",
        )


def database_file(url: URL) -> Path | None:
    """The file of an SQLite database, named plainly or by a URI; None for one in memory and for every other."""
    database = url.database or ""
    if url.get_backend_name() != "sqlite" or database in IN_MEMORY or url.query.get("mode") == "memory":
        return None
    return Path(unquote(urlsplit(database).path) if database.startswith("file:") else database).absolute()


def _mode(path: Path) -> int:
    """The mode, nothing where there is no file, or no modes (only POSIX has them)."""
    try:
        return path.stat().st_mode if os.name == "posix" else 0
    except OSError:
        return 0


def _holds_secrets(path: Path) -> bool:
    try:
        options = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # what cannot be read may hold anything
    sections = [options.get(name) for name in ("mail", "limits")]
    urls = [options.get("database_url"), *(its.get("url") for its in sections if isinstance(its, dict))]
    return "secret_keys" in options or any(map(_has_password, urls))


def _has_password(url: Any) -> bool:
    try:
        return isinstance(url, str) and make_url(url).password is not None
    except (ArgumentError, ValueError):
        return True

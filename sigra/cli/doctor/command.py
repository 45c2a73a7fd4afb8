"""The command `sigra doctor`: asks everywhere, and prints what was found."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from sigra import hooks, sources
from sigra.cli.doctor import files, installation, mail, options, second_factor, storage
from sigra.cli.doctor.finding import Finding
from sigra.cli.host import Host
from sigra.cli.printing import as_json, print_rows, printable
from sigra.core import Sigra
from sigra.errors import ConfigurationError
from sigra.settings import Settings

AGAIN = "Do what it says, and run `sigra doctor` again: some of the rest can only be looked at then."

USER_OF_A_URL = re.compile(r"://\S*@")
"""What the application's own module may say of a database, when it cannot be imported."""


@click.command()
@as_json
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """List what is unsafe, missing or old, each with its cure; never a secret.

    Runs without a valid configuration. Ends with 0 when nothing is wrong, and with 1 otherwise. A plugin that is
    installed and not active counts until SIGRA_PLUGINS names it, if only with a minus.
    """
    found = list(dict.fromkeys(_found(ctx.ensure_object(Host))))
    if as_json:
        print_rows("findings", [asdict(one) for one in found], as_json)
    else:
        _print(found)
    ctx.exit(1 if found else 0)


def _print(found: Sequence[Finding]) -> None:
    for one in found:
        click.echo(f"{printable(one.subject)}: {printable(one.problem)}\n    {printable(one.cure)}")
    click.echo(f"\nFindings: {len(found)}" if found else "Nothing is wrong.")


def _found(host: Host) -> Iterator[Finding]:
    yield from files.of_settings(os.environ, Path())
    try:
        auth = host.auth
    except ConfigurationError as error:
        yield Finding("configuration", USER_OF_A_URL.sub("://...@", str(error)), AGAIN)
        yield from _without_sigra(str(error))
        return
    yield from _with_sigra(auth)


def _with_sigra(auth: Sigra) -> Iterator[Finding]:
    yield from options.findings(auth.settings)
    yield from mail.findings(auth)
    yield from second_factor.findings(auth)
    active = [one.name for one in auth.plugins]
    yield from installation.of_plugins(hooks.installed(), active, auth.settings.plugins)
    yield from storage.findings(auth)
    # After the look into it, by which SQLite may have made its side files.
    yield from files.of_database(auth.db.dialect.url)


def _without_sigra(told: str) -> Iterator[Finding]:
    """What can be said of settings from which nothing can be built; not again what was told with that."""
    try:
        values = sources.read(os.environ, Path())
        for one in installation.of_driver(values.get("database_url")):
            if one.problem not in told:
                yield one
        yield from options.findings(Settings(**values))
    except ConfigurationError:
        return

"""Writes the reference of docs/cli.md from the commands: usage, help and options as the command line tells them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from sigra import Settings, Sigra
from sigra.cli.growth import grown
from sigra.cli.host import Host
from sigra.cli.overview import COMMANDS
from sigra.cli.shell import Shell
from tools import distributions
from tools.marked import DOCS, filled

PAGE = DOCS / "cli.md"


def rendered(page: str) -> str:
    """The page with today's commands."""
    return filled(page, "commands", "\n".join(map(section, contexts())))


def contexts() -> Iterator[click.Context]:
    """Every command that does something, of the core and of the plugins, in alphabetical order."""
    shell, host = Shell(), Host()
    settings = Settings(secret_keys=["k" * 32], base_url="http://localhost")
    host.auth = Sigra(settings, distributions.everything())
    root = click.Context(shell, info_name="sigra", obj=host)
    for name in sorted({*COMMANDS, *grown(host).commands}):
        command = shell.get_command(root, name)
        assert command is not None
        yield from below(click.Context(command, root, info_name=name))


def below(context: click.Context) -> Iterator[click.Context]:
    """The command, or those of the group."""
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name, command in sorted(context.command.commands.items()):
        yield from below(click.Context(command, context, info_name=name))


def section(context: click.Context) -> str:
    """What the page has of a command."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    given = [one for one in command.params if isinstance(one, click.Option)]
    rows = [one.get_help_record(context) for one in given]
    options = "".join(f"- `{row[0]}`: {row[1].replace('  ', ' ')}\n" for row in rows if row)
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.help or ""))
    return f"### `{context.command_path}`\n\n```text\n{usage}\n```\n\n{text}\n" + (f"\n{options}" if options else "")

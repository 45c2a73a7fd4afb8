"""docs/cli.md has every command, with the usage, help and options that the command line itself tells, and no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sigra import Sigra
from sigra.cli.growth import grown
from sigra.cli.host import Host
from sigra.cli.overview import COMMANDS
from sigra.cli.shell import Shell
from sigra.testing import cheap_settings

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN, END = "<!-- commands: as the command line tells them -->\n", "<!-- end of commands -->"


def contexts() -> Iterator[click.Context]:
    """Every command that does something, of the core and of its built-in plugins, in alphabetical order."""
    root = click.Context(Shell(), info_name="sigra", obj=Host())
    root.obj.auth = Sigra(cheap_settings())
    names = sorted({*COMMANDS, *grown(root.obj).commands})
    for name in names:
        command = root.command.get_command(root, name)  # type: ignore[attr-defined]
        yield from below(click.Context(command, root, info_name=name))


def below(context: click.Context) -> Iterator[click.Context]:
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


def written() -> str:
    return "\n".join(map(section, contexts()))


@pytest.mark.parametrize("context", [pytest.param(one, id=one.command_path) for one in contexts()])
def test_every_command_is_in_the_reference(context: click.Context):
    assert section(context) in PAGE.read_text("utf-8")


def test_the_reference_has_nothing_else():
    _, _, rest = PAGE.read_text("utf-8").partition(BEGIN)

    assert rest.partition(END)[0].strip() == written().strip()


def test_every_status_and_option_of_all_commands_is_in_the_reference():
    before, _, _ = PAGE.read_text("utf-8").partition(BEGIN)
    root = Shell()

    for option in root.get_params(click.Context(root)):
        assert option.opts[0] in before
    assert all(f"| {status} |" in before for status in (0, 1, 2))

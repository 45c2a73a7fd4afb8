"""docs/cli.md has every command, as the command line itself tells it, and what goes for all of them."""

from __future__ import annotations

import click
import pytest

from sigra.cli.shell import Shell
from tools.document_commands import PAGE, contexts, section


@pytest.mark.parametrize("context", [pytest.param(one, id=one.command_path) for one in contexts()])
def test_every_command_is_in_the_reference(context: click.Context):
    assert section(context) in PAGE.read_text("utf-8")


def test_every_status_and_option_of_all_commands_is_in_the_reference():
    before, _, _ = PAGE.read_text("utf-8").partition("## Commands")
    root = Shell()

    for option in root.get_params(click.Context(root)):
        assert option.opts[0] in before
    assert all(f"| {status} |" in before for status in (0, 1, 2))

"""Commands that plugins add, and how an `async def` one is run."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import click
from sqlalchemy.exc import DBAPIError

from sigra import hookspecs
from sigra.cli.host import Host
from sigra.core import Sigra


class Growing(click.Group):
    """A group that plugins add commands to, each under a name of its own (hard case 48)."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        name = name or cmd.name
        if name in self.commands:
            raise ValueError(f"there is a command {name} already, of {_origin(self.commands[name])}")
        super().add_command(cmd, name)


def grown(host: Host) -> click.Group:
    """The root as plugins see it, with the group `users`, after they have added their commands.

    Raises:
        ConfigurationError: The `Sigra` cannot be built, or two plugins add one command.
    """
    from sigra.cli.shell import COMMANDS
    from sigra.cli.users import own_commands

    taken = {name: click.Command(name, hidden=True) for name in COMMANDS}
    users = Growing("users", commands=own_commands())
    root = Growing("sigra", commands={**taken, "users": users})
    host.auth.calls.collect(host.auth, hookspecs.register_commands, cli=root)
    return awaiting(root)

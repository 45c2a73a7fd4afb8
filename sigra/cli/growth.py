"""The commands that plugins add."""

from __future__ import annotations

from collections.abc import Iterator

import click

from sigra import hookspecs
from sigra.cli.host import Host
from sigra.cli.overview import COMMANDS
from sigra.cli.users import own_commands


class Growing(click.Group):
    """A group that plugins add commands to, each under a name of its own."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        name = name or cmd.name or ""
        if name in self.commands:
            raise ValueError(f"there is a command {name} already, of {_origin(self.commands[name])}")
        super().add_command(cmd, name)


def grown(host: Host) -> click.Group:
    """The root as plugins see it, after they have added their commands: the core's names, and the group `users`.

    Raises:
        ConfigurationError: The `Sigra` cannot be built, or a plugin adds a command that there is already.
    """
    taken = {name: click.Command(name) for name in COMMANDS}
    users = Growing("users", commands=own_commands(), help=COMMANDS["users"][1])
    root = Growing("sigra", commands={**taken, "users": users})
    host.auth.calls.collect(host.auth, hookspecs.register_commands, cli=root)
    return root


def added(host: Host) -> list[str]:
    """What plugins have added, as one types it."""
    own = {*COMMANDS, *(f"users {name}" for name in own_commands())}
    return sorted(set(_paths(grown(host))) - own)


def _paths(group: click.Group, above: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _paths(command, f"{above}{name} ")
        else:
            yield above + name


def _origin(command: click.Command) -> str:
    """The module that brings a command, by its first callback."""
    if command.callback is not None:
        return command.callback.__module__
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return next((_origin(one) for one in below), "the core")

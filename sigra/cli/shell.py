"""The root of the command line: which commands there are, how they are run, and how refusals end them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from sigra.cli.awaiting import awaiting
from sigra.cli.host import Host
from sigra.cli.overview import COMMANDS
from sigra.errors import ConfigurationError, SealBroken, SigraError, Unavailable, ValidationFailed

OVERVIEW = """Work on the accounts, the database and the plugins of an application.

Settings come from sigra.toml and SIGRA_* variables. Active plugins add commands: `sigra plugins` lists them.
"""

APP = "The Sigra object of your application; otherwise SIGRA_APP, or else the settings alone."


class Misconfigured(click.ClickException):
    """Ends a command with the paragraph of a `ConfigurationError`."""

    exit_code = 2


class Shell(click.Group):
    """The root group: a command of the core is imported, and one of a plugin looked for, when it is asked for."""

    def __init__(self) -> None:
        super().__init__("sigra", help=OVERVIEW)
        app = click.option("--app", metavar="MODULE:NAME", expose_value=False, callback=_remember, help=APP)
        for option in (app, click.version_option(package_name="sigra")):
            option(self)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise Misconfigured(str(error)) from error
        except SigraError as error:
            raise click.ClickException(explain(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        home, _ = COMMANDS.get(cmd_name, ("", ""))
        if not home:
            return self._of_plugins(ctx, cmd_name)
        module, _, attribute = home.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return awaiting(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def _of_plugins(self, ctx: click.Context, name: str) -> click.Command | None:
        from sigra.cli.growth import grown

        try:
            return awaiting(grown(ctx.obj)).commands.get(name)
        except ConfigurationError as error:
            if name in COMMANDS:
                raise
            raise click.UsageError(
                f"No such command {name!r}, unless a plugin brings it, but the configuration is wrong. {error}"
            ) from error


def explain(error: SigraError) -> str:
    """An error as an operator is told it: with the fields, and without a client's view of things."""
    if isinstance(error, SealBroken):
        return f"{error} Put its key back into SIGRA_SECRET_KEYS, or restore the row."
    if isinstance(error, Unavailable):
        return "The database does not answer: start it, or mend SIGRA_DATABASE_URL."
    if isinstance(error, ValidationFailed):
        return " ".join(f"{one.field}: {one.message}" for one in error.errors) or error.detail
    return error.detail


def _remember(ctx: click.Context, _: click.Parameter, app: str | None) -> None:
    # While options are read, since commands are looked for before the group's own callback is called.
    ctx.obj = Host(app)

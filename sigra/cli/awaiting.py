"""How a command whose callback is `async def` is run: with Sigra started before it and closed after it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import click

from sigra.cli.host import Host

C = TypeVar("C", bound=click.Command)
Callback = Callable[..., Coroutine[Any, Any, Any]]


def awaiting(command: C) -> C:
    """The command, and all below it, with callbacks that click can call."""
    # click's decorators keep what they wrap, and only that is seen to be `async def`.
    if command.callback is not None and inspect.iscoroutinefunction(inspect.unwrap(command.callback)):
        command.callback = partial(_run, command.callback)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        awaiting(below)
    return command


def _run(callback: Callback, *args: Any, **kwargs: Any) -> Any:
    host = click.get_current_context().find_object(Host)
    assert host is not None
    return asyncio.run(_awaited(host, partial(callback, *args, **kwargs)))


async def _awaited(host: Host, callback: Callback) -> Any:
    from sqlalchemy.exc import DBAPIError

    try:
        async with host.auth:
            return await callback()
    except DBAPIError as error:
        # The driver's words alone: SQLAlchemy's have the statement.
        raise click.ClickException(
            f"The database refused ({error.orig}): run `sigra db upgrade` if its tables are missing or old."
        ) from error

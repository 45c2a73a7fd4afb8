"""`sigra outbox`: what waits to be sent, and what was given up."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from functools import partial

import click

from sigra.cli.host import Host
from sigra.cli.printing import Row, as_json, print_rows
from sigra.mail import Waiting


@click.group()
def outbox() -> None:
    """List what waits to be sent, and retry what was given up."""


@outbox.command("list")
@as_json
@click.pass_obj
async def list_waiting(host: Host, as_json: bool) -> None:
    """List what waits and what was given up (dead), the oldest first; never a token or a code.

    A kind in the phase `request` is asked for and not answered yet: nobody knows whether there is anything to send.
    """
    async with host.auth.db.connect() as tx:
        found = await host.auth.outbox.list(tx)
    print_rows("outbox", [_row(one, host.auth.clock()) for one in found], as_json)


def _row(one: Waiting, now: datetime) -> Row:
    return {
        "id": str(one.id),
        "phase": one.phase,
        "kind": one.kind,
        "recipient": one.recipient,
        "age": str(timedelta(seconds=int((now - one.created_at).total_seconds()))),
        "tries": one.tries,
        "state": "waiting" if one.dead_at is None else "dead",
        "problem": one.problem,
    }


@outbox.command()
@click.argument("id", type=click.UUID, required=False)
@click.pass_obj
async def retry(host: Host, id: uuid.UUID | None) -> None:
    """Try again what was given up: one, or all of them.

    A message whose link has ended meanwhile is dropped when its turn comes.
    """
    again = await host.auth.db.transaction(partial(host.auth.outbox.retry, id=id))
    if id is not None and not again:
        raise click.ClickException(f"Nothing that was given up has the id {id}.")
    click.echo(f"Tried again: {again}")

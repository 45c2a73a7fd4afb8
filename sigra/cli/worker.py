"""`sigra worker`: later work in a process of its own."""

from __future__ import annotations

import asyncio
import signal

import click

from sigra.cli.host import Host


@click.command()
@click.option("--once", is_flag=True, help="Do what is due now, and end.")
@click.pass_obj
async def worker(host: Host, once: bool) -> None:
    """Send mail and do the periodic jobs, until SIGINT or SIGTERM.

    Any number may run, beside applications that do the same; set SIGRA_WORKER=false where these should not. What is
    under way when it is told to end has five seconds more.
    """
    if once:
        click.echo(f"Done: {await host.auth.worker.work()}")
        return
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    host.auth.worker.start()
    click.echo("Working; end it by SIGINT (Ctrl+C) or SIGTERM.")
    await ended.wait()

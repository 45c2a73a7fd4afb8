"""The command itself: sets up what the demo needs, says how to try it, and serves until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import socket
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from sigra.cli.demo.application import SCOPE, application, build
from sigra.cli.demo.folder import Folder, Secrets
from sigra.core import Sigra
from sigra.crypto import new_secret
from sigra.db import migrations
from sigra.plugins.api_keys import APIKeys, NewKey
from sigra.plugins.password import Password

FOLDER = Path(".sigra-demo")
EMAIL, NAME = "demo@example.com", "Ada"

WELCOME = """\
The Sigra demo is ready. Stop it with Ctrl+C; what it keeps is in {folder}/.

Address: {url}
E-mail: {email}
Password: {secrets.password}
Mailbox: {url}/auth/mailbox

curl -H "Authorization: Bearer {secrets.api_key}" {url}/api/report
"""


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Where to listen.")
def demo(port: int) -> None:
    """Serve a small application on this machine, with a database, a user and an API key of its own.

    Of the options it takes those of limits, as in SIGRA_LIMITS__ENABLED=false.
    """
    if find_spec("uvicorn") is None:
        raise click.ClickException("The demo needs a server: pip install 'sigra[server]'.")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        asyncio.run(_serve(f"http://localhost:{port}", Folder(FOLDER), _listening(port)))
    except OSError as error:
        raise click.ClickException(f"{error.strerror or error}: {error.filename or FOLDER}.") from error


def _stop(*_: object) -> None:
    # The server ends by itself at these signals and then raises them again; before it runs, this ends the rest.
    sys.exit(0)


def _listening(port: int) -> list[socket.socket]:
    """Sockets on the loopback addresses that this machine has, and on no other."""
    addresses = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
    found = [_bound(family, host, port) for family, host in addresses]
    return [one for one in found if one is not None]


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket | None:
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return None
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise click.ClickException(f"Port {port} {reason}: choose another with --port.") from error
    # Else what follows the headers of an answer waits for the client's acknowledgement, 40 ms (RFC 1122, 4.2.3.2).
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


async def _serve(url: str, folder: Folder, sockets: list[socket.socket]) -> None:
    import uvicorn  # comes with the extra `server`

    kept = folder.secrets()
    key = kept.secret_key if kept else new_secret()
    async with build(url, key, folder.database, os.environ) as auth:
        await migrations.upgrade(auth.db, auth.lineages())
        if kept is None:
            kept = await _first_start(auth, key)
            folder.keep(kept)
        click.echo(WELCOME.format(folder=FOLDER, url=url, email=EMAIL, secrets=kept))
        config = uvicorn.Config(
            application(auth),
            log_level="warning",
            access_log=False,
            # Forwarding headers are Sigra's to judge.
            proxy_headers=False,
            # A page that stays open does not hold up the end.
            timeout_graceful_shutdown=2,
        )
        await uvicorn.Server(config).serve(sockets=sockets)


async def _first_start(auth: Sigra, key: str) -> Secrets:
    """Make the demo's user, with a password and an API key."""
    password = secrets.token_urlsafe(12)
    make = partial(_make_user, auth, await auth.hasher.hash(password))
    return Secrets(key, password, await auth.db.transaction(make))


async def _make_user(auth: Sigra, hash: str, tx: AsyncConnection) -> str:
    user = await auth.users.create(tx, email=EMAIL, email_verified=True, name=NAME)
    await auth.plugin(Password).set(auth, tx, user, hash)
    key, _ = await auth.plugin(APIKeys).make(auth, user, NewKey(name="demo", scopes=[SCOPE]), tx)
    return key

"""`sigra keys`: new secret keys, without any configuration."""

import click

from sigra.crypto import new_secret


@click.group()
def keys() -> None:
    """Make secret keys."""


@keys.command()
def generate() -> None:
    """Print a new key for SIGRA_SECRET_KEYS, alone on its line."""
    click.echo(new_secret())

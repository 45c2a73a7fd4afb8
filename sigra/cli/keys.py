"""`sigra keys`: new secret keys, and what lies under old ones."""

from __future__ import annotations

import click

from sigra.cli.host import Host
from sigra.crypto import new_secret

DIGESTS = (
    "Sessions, API keys, recovery codes, trusted browsers and links are stored as digests, which cannot be made anew: "
    "those of an older key end when it leaves SIGRA_SECRET_KEYS."
)


@click.group()
def keys() -> None:
    """Make secret keys, and bring what is encrypted under the first of them."""


@keys.command()
def generate() -> None:
    """Print a new key for SIGRA_SECRET_KEYS, alone on its line."""
    click.echo(new_secret())


@keys.command()
@click.pass_obj
async def rotate(host: Host) -> None:
    """Encrypt all that is sealed under the first key of SIGRA_SECRET_KEYS, while the application goes on.

    Put the new key first and restart every process before. One that was stopped is simply run again. Ends with 1 when
    a value does not open, which it names and leaves as it is, or when somebody still writes under an older key.
    """
    # Brings the database, which a new key does without.
    from sigra.cli.rotating import rotate_all

    left = await rotate_all(host.auth)
    click.echo(DIGESTS)
    if left:
        raise click.ClickException(f"Not under the first key: {left}. Do not remove the other keys.")

"""`sigra attack`: tries a deployment of one's own, from outside, and says what held."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from sigra.cli.printing import as_json as as_json_option
from sigra.cli.printing import print_rows, printable
from sigra.settings import is_loopback

if TYPE_CHECKING:
    from sigra.attack import Result, Target

BEFORE = """\
What will be done to {url}:
- about 3,000 requests, some of them large, broken or slow, for about three minutes;
- the limits of this machine's address are used up: whoever shares it waits up to a minute to sign in;
- strangers' addresses sign up and are asked about; their mail is the test account's, with a + in its name;"""

WITH_ACCOUNT = """\
- {email} gets about ten mails, a new API key (revoked at once), and sessions (signed out);
- its address is locked at the end: for 15 minutes or more by sigra-lockout, else by its limit for up to an hour."""

OF_ITS_OWN = """\
- where a development mailbox can be read, it signs up accounts of its own, and closes the one that it uses."""

FOREIGN = (
    "{host} is not this machine. Attack what is yours alone: it uses limits up and locks an address. "
    "Say so by --i-own-this."
)


@click.command()
@click.argument("url")
@click.option("--email", help="Of a test account of yours, without a second factor.")
@click.option("--password-stdin", is_flag=True, help="Read the test account's password from standard input.")
@click.option("--i-own-this", is_flag=True, help="You may attack this host, which is not this machine.")
@click.option("--only", multiple=True, metavar="NAME", help="Of an attack; may be given several times.")
@click.option("--list", "as_list", is_flag=True, help="List the attacks, and make none.")
@click.option("--mount-path", default="/auth", show_default=True, help="Where Sigra's routes are.")
@click.option("--websocket", default="/ws", show_default=True, metavar="PATH", help="A WebSocket of the application.")
@as_json_option
@click.pass_context
def attack(  # noqa: PLR0913, PLR0917  (an option each)
    ctx: click.Context,
    url: str,
    email: str | None,
    password_stdin: bool,
    i_own_this: bool,
    only: tuple[str, ...],
    as_list: bool,
    mount_path: str,
    websocket: str,
    as_json: bool,
) -> None:
    """Attack the deployment of yours at URL from outside, and say what held.

    URL is what browsers use: the deployment's SIGRA_BASE_URL. Runs on any machine, without a configuration; most
    attacks need a test account. Ends with 0 when all held, 1 when something is broken, 2 for wrong usage.
    """
    if find_spec("httpx2") is None:
        raise click.ClickException("Attacks need an HTTP client: pip install 'sigra[attack]'.")
    from sigra.attack import ATTACKS, Target, Unreachable

    if as_list:
        print_rows("attacks", [{"name": one.name, "claim": one.claim} for one in ATTACKS], as_json)
        return
    if unknown := sorted(set(only) - {one.name for one in ATTACKS}):
        raise click.UsageError(f"There is no attack {unknown[0]!r}: --list names them.")
    host = _host(url)
    if not (is_loopback(host) or i_own_this):
        raise click.UsageError(FOREIGN.format(host=host))
    password = _password(email, password_stdin)
    target = Target(url.rstrip("/"), email, password, mount=mount_path.rstrip("/"), websocket=websocket, progress=_tell)
    _tell(_beforehand(target))
    chosen = [one for one in ATTACKS if not only or one.name in only]
    try:
        results = asyncio.run(_attacked(target, chosen))
    except Unreachable as problem:
        raise click.UsageError(str(problem)) from problem
    _report(results, as_json)
    ctx.exit(status(results))


def status(results: Sequence[Result]) -> int:
    """How the command ends."""
    return 1 if any(one.verdict == "broken" for one in results) else 0


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.query or parts.username:
        raise click.UsageError("URL is scheme, host and perhaps a port alone, as in https://example.com.")
    return host


def _password(email: str | None, given: bool) -> str | None:
    if email is None:
        if given:
            raise click.UsageError("--password-stdin needs --email.")
        return None
    if given:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, err=True)
    return password


def _beforehand(target: Target) -> str:
    parts = [BEFORE, WITH_ACCOUNT if target.email else "", OF_ITS_OWN if is_loopback(target.host) else ""]
    return "\n".join(parts).replace("\n\n", "\n").format(url=target.url, email=target.email)


def _tell(text: str) -> None:
    for line in text.splitlines():
        click.echo(printable(line), err=True)


async def _attacked(target: Target, chosen: Sequence[object]) -> list[Result]:
    from sigra.attack import run

    await target.look()
    await target.sign_in_once()
    return await run(target, chosen)  # type: ignore[arg-type]


def _report(results: Sequence[Result], as_json: bool) -> None:
    if as_json:
        print_rows("attacks", [asdict(one) for one in results], as_json)
        return
    for one in results:
        click.echo(_line(one))
    counts = {word: sum(one.verdict == word for one in results) for word in ("held", "broken", "not tested")}
    click.echo("\n" + ", ".join(f"{word}: {count}" for word, count in counts.items()))


def _line(one: Result) -> str:
    word = {"held": "held      ", "broken": "BROKEN    ", "not tested": "not tested"}[one.verdict]
    text = f"{word}  {one.name}: {printable(one.claim)}\n            {printable(one.evidence)}"
    return text + (f"\n            {printable(one.cure)}" if one.verdict == "broken" else "")

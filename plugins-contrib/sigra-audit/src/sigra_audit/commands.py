"""`sigra audit`: what an operator does with the record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import click

from sigra import Auth
from sigra_audit.chain import Checkpoint
from sigra_audit.entries import moment
from sigra_audit.exporting import COLUMNS, Selection, csv_line, csv_record, json_line, records
from sigra_audit.keys import Keys
from sigra_audit.redaction import escaped
from sigra_audit.retention import Retention
from sigra_audit.sealing import ChainBroken, Sealer
from sigra_audit.tables import Tables
from sigra_audit.verifying import Tampered, Verified, Verifier

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


class Record(Protocol):
    """The plugin, as the commands use it."""

    tables: Tables
    keys: Keys
    sealer: Sealer
    verifier: Verifier
    retention: Retention


def group(auth: Auth, record: Record) -> click.Group:
    """The commands."""
    its = click.Group("audit", help="Look at the record of what happened, and prove that nobody changed it.")
    for make in (_verify, _seal, _checkpoint, _export, _prune):
        its.add_command(make(auth, record))
    return its


def _verify(auth: Auth, record: Record) -> click.Command:
    @click.command("verify")
    @click.option("--checkpoint", type=FILE, help="What `checkpoint` printed: tells whether rows were cut off.")
    async def verify(checkpoint: Path | None) -> None:
        """Look at every row: 0 when the record is intact, 1 and the first row that is not."""
        try:
            seen = None if checkpoint is None else _read(checkpoint, record.keys)
            click.echo(_told(await record.verifier.verify(seen), seen))
        except Tampered as error:
            raise click.ClickException(f"not intact: {escaped(str(error))}.") from error

    return verify


def _read(path: Path, keys: Keys) -> Checkpoint:
    try:
        return Checkpoint.parse(path.read_text("utf-8"), keys)
    except ValueError as error:
        raise click.ClickException(f"The checkpoint {escaped(str(path))} cannot be used: {error}.") from error


def _told(found: Verified, seen: Checkpoint | None) -> str:
    lines = [f"intact: {found.count} rows, positions {found.start.position + 1} to {found.head.position}"]
    if not found.count:
        lines = ["intact: no rows"]
    if found.start.position:
        lines.append(f"retention took away what was before position {found.start.position + 1}")
    if found.fresh_count:
        ids = ", ".join(map(str, found.fresh)) + (", …" if found.fresh_count > len(found.fresh) else "")
        lines.append(f"{found.fresh_count} younger than a minute have no place in the chain yet: {ids}")
    if seen is None:
        lines.append("whether rows were cut off at the end only a checkpoint tells: `sigra audit checkpoint`")
    elif seen.link.position < found.start.position:
        lines.append("the checkpoint is older than the oldest row")
    return "\n".join(lines)


def _seal(auth: Auth, record: Record) -> click.Command:
    @click.command("seal")
    async def seal() -> None:
        """Give every row its place in the chain now; the application does so by itself."""
        await _sealed(record)

    return seal


async def _sealed(record: Record) -> None:
    try:
        click.echo(f"Sealed: {await record.sealer.seal()}", err=True)
    except ChainBroken as error:
        raise click.ClickException(f"{error}.") from error


def _checkpoint(auth: Auth, record: Record) -> click.Command:
    @click.command("checkpoint")
    async def checkpoint() -> None:
        """Print where the chain ends, signed: keep it where whoever changes the database cannot reach it."""
        await _sealed(record)
        async with auth.db.connect() as tx:
            head = await record.sealer.head(tx)
        click.echo(Checkpoint.of(head.link, moment(auth.clock()), record.keys).text())

    return checkpoint


def _export(auth: Auth, record: Record) -> click.Command:
    @click.command("export")
    @click.option("--format", "kind", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="JSON lines or CSV.")
    @click.option("--since", type=click.DateTime(DAYS), help="Rows of that time or later, in UTC.")
    @click.option("--until", type=click.DateTime(DAYS), help="Rows before that time, in UTC.")
    @click.option("--user", metavar="EMAIL", help="Rows about that account, or of what its user did.")
    @click.option("--tried", metavar="EMAIL", help="Rows that tell of that address, with an account or without.")
    async def export(
        kind: str, since: datetime | None, until: datetime | None, user: str | None, tried: str | None
    ) -> None:
        """Print rows, the oldest first."""
        account = None if user is None else await auth.users.by_email(user)
        if user is not None and account is None:
            raise click.ClickException(f"There is no account of {escaped(user)}.")
        chosen = Selection(
            since=_utc(since),
            until=_utc(until),
            user_id=None if account is None else str(account.id),
            pseudonyms=() if tried is None else record.keys.pseudonyms(tried),
        )
        line: Callable[..., str] = csv_record if kind == "csv" else json_line
        if kind == "csv":
            click.echo(csv_line(COLUMNS))
        async for one in records(auth, record.tables, chosen):
            click.echo(line(one))

    return export


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=UTC)


def _prune(auth: Auth, record: Record) -> click.Command:
    @click.command("prune")
    async def prune() -> None:
        """Delete rows that are older than the retention, and leave an anchor from which the rest is verified."""
        try:
            click.echo(f"Pruned: {await record.retention.prune()}")
        except Tampered as error:
            raise click.ClickException(f"Nothing was pruned, not intact: {escaped(str(error))}.") from error

    return prune

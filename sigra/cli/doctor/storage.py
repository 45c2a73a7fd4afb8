"""Whether the database answers, and is what the core and the active plugins expect."""

from __future__ import annotations

import asyncio

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from sigra.cli.database import behind, own_tables
from sigra.cli.doctor import left_behind, limits, outbox, rights, sealed
from sigra.cli.doctor.files import database_file
from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra
from sigra.db import migrations
from sigra.errors import SigraError, Unavailable

SUBJECT = "database"
UPGRADE = "Run `sigra db upgrade`."

LOOKS = (outbox.findings, rights.findings, limits.findings, sealed.findings, left_behind.findings)


def findings(auth: Sigra) -> list[Finding]:
    """What is wrong with the database. Nothing is made: a file that is not there stays so."""
    url = make_url(auth.settings.database_url.get_secret_value())
    path = database_file(url)
    if url.get_backend_name() == "sqlite" and path is None:
        return [
            Finding(
                "SIGRA_DATABASE_URL",
                "The database is kept in memory: accounts end with the process.",
                "Set it to a file or a server, as in sqlite:///sigra.db.",
            )
        ]
    if path is not None and not path.exists():
        return [Finding(SUBJECT, f"There is no database at {path} yet.", UPGRADE)]
    return asyncio.run(_looked_at(auth))


async def _looked_at(auth: Sigra) -> list[Finding]:
    try:
        return await _drift(auth)
    except Unavailable:
        return [Finding(SUBJECT, "The database does not answer.", "Start it, or mend SIGRA_DATABASE_URL.")]
    except SigraError as error:
        return [Finding(SUBJECT, f"The migrations cannot be read. {error.detail}", "Mend what it names.")]
    except DBAPIError as error:
        # The driver's words alone: SQLAlchemy's have the statement.
        return [Finding(SUBJECT, f"The database refused ({error.orig}).", "Mend SIGRA_DATABASE_URL, or its rights.")]
    finally:
        await auth.aclose()


async def _drift(auth: Sigra) -> list[Finding]:
    """Differences are only told of a database at its newest revision: before, they are what the revisions bring."""
    if late := await behind(auth):
        return [Finding(SUBJECT, f"{line}.", UPGRADE) for line in late]
    differences = await migrations.check(auth.db, own_tables(auth))
    drift = [
        Finding(SUBJECT, line, "Undo what was changed by hand: the revisions are all there already.")
        for line in differences
    ]
    return drift or [finding for look in LOOKS for finding in await look(auth)]

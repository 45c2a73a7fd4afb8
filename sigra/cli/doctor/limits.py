"""Whether what is counted is counted where it should be."""

from __future__ import annotations

from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra


async def findings(auth: Sigra) -> list[Finding]:
    """What is wrong with the limits."""
    if not auth.settings.limits.enabled:
        return [
            Finding(
                "SIGRA_LIMITS__ENABLED",
                "Limits are off: nothing slows down who guesses passwords, or who has mails sent.",
                "Remove it, unless something before the application limits by client and by account.",
            )
        ]
    if await auth.limits.store.serves():
        return []
    return [
        Finding(
            "SIGRA_LIMITS__URL",
            "Redis does not answer: the database counts instead, with other numbers.",
            "Start it, or mend the URL.",
        )
    ]

"""Whether mail is delivered, or waits for somebody to do something."""

from __future__ import annotations

from collections.abc import Iterator

from sigra import hookspecs
from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra

OWN = "mail"
"""The built-in plugin that sends, and its section."""

OPTION = "SIGRA_MAIL__URL"


def findings(auth: Sigra) -> Iterator[Finding]:
    """What keeps mail from being sent at all."""
    alone = set(auth.calls.asked(hookspecs.send_message)) == {OWN}
    if alone and not auth.settings.development and getattr(auth.settings, OWN).url is None:
        yield Finding(
            OPTION,
            "It is not set: no mail is sent, all of it waits in the outbox.",
            "Set it to a mail server, as in smtp://user:password@host:port, and SIGRA_MAIL__SENDER; "
            "or switch on a plugin that sends mail otherwise.",
        )

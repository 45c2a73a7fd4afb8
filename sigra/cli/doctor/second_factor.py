"""Whether a second factor that is demanded can be had."""

from __future__ import annotations

from collections.abc import Iterator

from sigra import hookspecs
from sigra.cli.doctor.finding import Finding
from sigra.core import Sigra

OWN = "second_factor"
"""The built-in plugin that demands it, and its section."""

OPTION = "SIGRA_SECOND_FACTOR__DEMAND"

NO_FACTORS = {"password", "recovery_codes"}
"""Built-in plugins whose authenticators are none: what begins a sign-in, and what stands in for a lost factor."""


def findings(auth: Sigra) -> Iterator[Finding]:
    """What keeps people from adding the factor that they must have."""
    section = getattr(auth.settings, OWN, None)
    if section is None or section.demand == "optional":
        return
    had = set(auth.calls.asked(hookspecs.authenticators_for_user))
    # An account of a provider is had, too, and nobody is asked for it after a password.
    asked_for = set(auth.calls.asked(hookspecs.challenges_for_login))
    if not (had & asked_for) - NO_FACTORS:
        yield Finding(
            OPTION,
            f"It is {section.demand}, and no active plugin brings a second factor: nobody can sign in.",
            "Switch one on in SIGRA_PLUGINS, such as totp or passkeys, or remove the option.",
        )

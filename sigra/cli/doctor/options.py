"""Settings that are valid and yet not what a public installation should have."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from sigra.cli.doctor import keys
from sigra.cli.doctor.finding import Finding
from sigra.crypto.passwords import MINIMUM_MEMORY_KIB, MINIMUM_TIME
from sigra.settings import PasswordSettings, Settings, is_loopback


def findings(settings: Settings) -> Iterator[Finding]:
    """What is unsafe outside one's own machine."""
    yield from keys.findings([key.get_secret_value() for key in settings.secret_keys])
    yield from _relaxed(settings)
    yield from _origins(settings)
    yield from _passwords(settings.password)


def _relaxed(settings: Settings) -> Iterator[Finding]:
    if settings.development:
        yield Finding(
            "SIGRA_DEVELOPMENT",
            "Development is on: checks that only matter in public are left out.",
            "Remove it where others reach the application.",
        )
    if settings.trace_hooks:
        yield Finding(
            "SIGRA_TRACE_HOOKS",
            "Every hook call is written to stderr: it slows requests, and logs who does what.",
            "Remove it when you have seen enough.",
        )


def _origins(settings: Settings) -> Iterator[Finding]:
    if not settings.https:
        yield Finding(
            "SIGRA_BASE_URL",
            "The application is reached over http: cookies are neither Secure nor bound to the host.",
            "Set it to the https URL where others reach the application.",
        )
    for origin in settings.trusted_origins:
        parts = urlsplit(origin)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield Finding(
                "SIGRA_TRUSTED_ORIGINS",
                f"{origin} is not https: whoever is on the way can write its pages, which may post here.",
                "Serve it over https and trust that origin, or remove it.",
            )


def _passwords(password: PasswordSettings) -> Iterator[Finding]:
    if password.memory_kib < MINIMUM_MEMORY_KIB or password.time < MINIMUM_TIME:
        yield Finding(
            "SIGRA_PASSWORD",
            f"Hashes cost {password.memory_kib} KiB and {password.time} passes, too little to protect stolen ones.",
            "Remove SIGRA_PASSWORD__MEMORY_KIB and SIGRA_PASSWORD__TIME, or set what `sigra calibrate` prints.",
        )

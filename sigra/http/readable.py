"""Values as people read them on a page: a moment, a browser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

_BROWSERS: Sequence[tuple[str, str]] = (
    # Every browser claims to be others as well, so that the order decides.
    (r"\bEdgA?/|\bEdgiOS/", "Edge"),
    (r"\bOPR/", "Opera"),
    (r"\bSamsungBrowser/", "Samsung Internet"),
    (r"\bFirefox/|\bFxiOS/", "Firefox"),
    (r"Chrome/|\bCriOS/|\bChromium/", "Chrome"),
    (r"\bVersion/.*\bSafari/", "Safari"),
    (r"^curl/", "curl"),
)

_SYSTEMS: Sequence[tuple[str, str]] = (
    (r"\biPhone\b", "iPhone"),
    (r"\biPad\b", "iPad"),
    (r"\bAndroid\b", "Android"),
    (r"\bWindows\b", "Windows"),
    (r"\bMac OS X\b|\bMacintosh\b", "macOS"),
    (r"\bCrOS\b", "ChromeOS"),
    (r"\bLinux\b", "Linux"),
)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def browser(user_agent: str | None) -> str:
    """What a `User-Agent` says of itself, in a few words; it may say anything."""
    text = user_agent or ""
    name = _first(_BROWSERS, text) or "Unknown browser"
    system = _first(_SYSTEMS, text)
    return f"{name} on {system}" if system else name


def _first(known: Sequence[tuple[str, str]], text: str) -> str | None:
    return next((name for pattern, name in known if re.search(pattern, text)), None)


def moment(at: datetime | str) -> str:
    """A time as `25 Nov 2026, 11:44 UTC`; text is RFC 3339, as answers write it."""
    at = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at:%Y, %H:%M} UTC"

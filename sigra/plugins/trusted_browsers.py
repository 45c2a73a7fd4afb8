"""Trusted browsers."""

from __future__ import annotations


class TrustedBrowsers:
    """Spares browsers that their user trusts the second factor."""

    name = "trusted_browsers"
    api = 1

"""Times in tokens: numbers of a provider's clock, which is not quite ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sigra_oauth.errors import OAuthFailed

SKEW = timedelta(seconds=60)
"""How far two clocks may be apart (RFC 7519, section 4.1.4: a few minutes at most)."""

LAST = 253_370_764_800
"""The year 9999, in seconds since 1970: a `datetime` holds it, and something can be added to it."""


def read_time(value: object, name: str) -> datetime:
    """A NumericDate (RFC 7519, section 2).

    Raises:
        OAuthFailed: It is absent, or no such number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST:
        raise OAuthFailed(f"the token's {name} is no time")
    return datetime.fromtimestamp(value, UTC)

"""The plugin."""

from __future__ import annotations


class TOTP:
    """Codes of an authenticator app (RFC 6238) as a second factor for Sigra."""

    name = "totp"
    api = 1

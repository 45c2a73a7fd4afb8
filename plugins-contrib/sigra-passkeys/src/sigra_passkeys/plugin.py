"""The plugin."""

from __future__ import annotations


class Passkeys:
    """Passkeys (WebAuthn) for Sigra: to sign in with alone, or as a second factor."""

    name = "passkeys"
    api = 1

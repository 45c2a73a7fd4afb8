"""What a passkey is to the rest of Sigra: its method, what it proves, and the authenticator that it is."""

from __future__ import annotations

from typing import Literal

from sigra import Authenticator
from sigra_passkeys.stored import Passkey

METHOD = "passkey"

VERIFIED, UNVERIFIED = ("hwk", "user", "mfa"), ("hwk",)
"""RFC 8176, section 2: a key was held; its holder was there and was verified, which makes two factors."""


def proven(*, verified: bool) -> tuple[tuple[str, ...], Literal[1, 2]]:
    """The `amr` of a ceremony and the level that it has alone (NIST SP 800-63B-4, section 3.1.7.1)."""
    return (VERIFIED, 2) if verified else (UNVERIFIED, 1)


def described(passkey: Passkey) -> Authenticator:
    """The authenticator that it is: one that did not verify its user when it was made lets nobody in alone."""
    level: Literal[1, 2] = 2 if passkey.verified else 1
    return Authenticator("mfa", METHOD, str(passkey.id), passkey.name, level, alone=passkey.verified)

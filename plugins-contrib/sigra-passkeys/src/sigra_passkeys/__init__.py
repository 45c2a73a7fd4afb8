"""Passkeys, to sign in with alone or as a second factor, written against the public face of Sigra alone."""

from sigra_passkeys.plugin import Passkeys

__all__ = ["Passkeys"]

"""Codes of an authenticator app as a second factor, written against the public face of Sigra alone."""

from sigra_totp.plugin import TOTP

__all__ = ["TOTP"]

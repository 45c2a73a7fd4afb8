"""Proof that somebody reads the mailbox of an address, by link or by code."""

from sigra.plugins.email_verification.plugin import EmailVerification

__all__ = ["EmailVerification"]

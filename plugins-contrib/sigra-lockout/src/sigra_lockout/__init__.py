"""Locks an account for a while after wrong proofs, written against the public face of Sigra alone."""

from sigra_lockout.plugin import Lockout

__all__ = ["Lockout"]

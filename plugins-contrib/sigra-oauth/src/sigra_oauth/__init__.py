"""Sign-in with accounts that people have elsewhere, written against the public face of Sigra alone."""

from sigra_oauth.plugin import OAuth

__all__ = ["OAuth"]

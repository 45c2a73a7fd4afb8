"""Magic links: sign in by a mail."""

from sigra.plugins.magic_link.plugin import MagicLink

__all__ = ["MagicLink"]

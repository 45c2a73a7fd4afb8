"""Mail: to a server by SMTP, to the terminal, or in development to a page."""

from sigra.plugins.mail.plugin import Mail

__all__ = ["Mail"]

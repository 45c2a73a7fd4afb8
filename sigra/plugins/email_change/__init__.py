"""Change of address: asked for by who is signed in, told to both mailboxes, done by whoever reads the new one."""

from sigra.plugins.email_change.plugin import EmailChange
from sigra.plugins.email_change.shapes import ChangeEmail, EmailChangeCancelled, EmailChanged, EmailChangeRequested

__all__ = ["ChangeEmail", "EmailChange", "EmailChangeCancelled", "EmailChangeRequested", "EmailChanged"]

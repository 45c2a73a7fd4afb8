"""Mail: what is to be said lies in the outbox, in the transaction of its fact, until it is delivered."""

from sigra.mail.outbox import Outbox, Waiting

__all__ = ["Outbox", "Waiting"]

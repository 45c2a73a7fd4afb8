"""The plugin."""

from __future__ import annotations

from typing import Any


class Lockout:
    """Locks an account for a while after wrong proofs."""

    name = "lockout"
    api = 1

    def __init__(self, **settings: Any) -> None:
        pass

"""Keys of rows: UUIDs of version 7, which sort by the time they were made."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime


def uuid7(clock: Callable[[], datetime], random: Callable[[int], bytes]) -> uuid.UUID:
    """48 bits of milliseconds, then 74 random bits around version and variant (RFC 9562, section 5.7)."""
    milliseconds = int(clock().timestamp() * 1000)
    value = milliseconds << 80 | int.from_bytes(random(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)

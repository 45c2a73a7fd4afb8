"""Requests as a server hands them over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.types import Scope


@pytest.fixture
def http_scope() -> Callable[..., Scope]:
    def make(*headers: tuple[str, str | bytes], method: str = "POST", path: str = "/", **more: Any) -> Scope:
        raw: Sequence[tuple[bytes, bytes]] = [
            (name.lower().encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
            for name, value in headers
        ]
        return {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": raw,
            "scheme": "http",
            "client": ("192.0.2.1", 5000),
            **more,
        }

    return make

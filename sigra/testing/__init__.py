"""For tests of applications and plugins: a client, a clock, cheap options, users, and the contract of a plugin.

The fixtures are a pytest plugin, described in `sigra.testing.fixtures`. Names are imported on first use, so that pytest
starts as quickly, and without the extra `testing`, in projects whose tests use none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigra.testing.accounts import EMAIL, PASSWORD, create_tables, installation, make_api_key, make_user, migrate
    from sigra.testing.cheap import cheap_settings
    from sigra.testing.client import Client
    from sigra.testing.clock import FrozenClock
    from sigra.testing.contract import PluginContract
    from sigra.testing.websocket import WebSocket, WebSocketClosed, WebSocketRefused
    from sigra.testing.who_asks import application

_ROOMS = {
    "accounts": ("EMAIL", "PASSWORD", "create_tables", "installation", "make_api_key", "make_user", "migrate"),
    "who_asks": ("application",),
    "cheap": ("cheap_settings",),
    "client": ("Client",),
    "clock": ("FrozenClock",),
    "contract": ("PluginContract",),
    "websocket": ("WebSocket", "WebSocketClosed", "WebSocketRefused"),
}

__all__ = [
    "EMAIL",
    "PASSWORD",
    "Client",
    "FrozenClock",
    "PluginContract",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketRefused",
    "application",
    "cheap_settings",
    "create_tables",
    "installation",
    "make_api_key",
    "make_user",
    "migrate",
]


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

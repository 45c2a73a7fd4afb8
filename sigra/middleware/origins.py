"""Cross-origin protection without form tokens: the browser says where a request comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from sigra.errors import CrossOrigin
from sigra.http import exchange
from sigra.http.cross_origin import SAFE_METHODS, is_refused
from sigra.http.exchange import Exchange
from sigra.http.routing import RouteTable
from sigra.middleware.paths import below, is_mounted, set_identity
from sigra.settings import Settings


class CrossOriginMiddleware:
    """Refuses other origins' unsafe requests: on the mount path always, elsewhere when a cookie said who asks.

    Args:
        base_origin: Our own.
        table: The routes; one that takes foreign posts gets no identity from a cookie and brings its own proof.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, base_origin: str, trusted_origins: Sequence[str], table: RouteTable
    ) -> None:
        self.app, self.table = app, table
        self._mount_path, self._starlette_user = settings.mount_path, settings.starlette_user
        self._is_refused = partial(is_refused, base_origin=base_origin, trusted_origins=frozenset(trusted_origins))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        # Beside the mount path a request that changes nothing is not refused, whoever asks; a handshake may be.
        harmless = kind == "http" and scope["method"] in SAFE_METHODS and self._mount_path not in scope["path"]
        if not harmless and kind in ("http", "websocket"):
            self._check(scope)
        return self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        notes: Exchange = scope[exchange.KEY]
        mounted = is_mounted(self._mount_path, scope)
        if mounted and self.table.is_open(below(scope, self._mount_path)):
            notes.by_cookie, notes.identity = False, None if notes.by_cookie else notes.identity
            set_identity(scope, notes.identity, self._starlette_user)
            return
        guarded = notes.by_cookie or (mounted and notes.identity is None)
        if guarded and self._is_refused(scope, session_cookie=notes.by_cookie):
            raise CrossOrigin

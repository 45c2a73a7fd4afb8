"""Cross-origin protection without form tokens: the browser says where a request comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from sigra.errors import CrossOrigin
from sigra.http import exchange
from sigra.http.cross_origin import is_refused
from sigra.http.exchange import Exchange
from sigra.middleware.paths import is_mounted, set_identity
from sigra.settings import Settings


class CrossOriginMiddleware:
    """Refuses unsafe requests that another origin made: on the mount path always, elsewhere when a cookie said who asks.

    Args:
        opened: Whether a route of the mount path takes foreign posts and brings its own proof.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, trusted_origins: Sequence[str], opened: Callable[[Scope], bool]
    ) -> None:
        self.app, self.settings, self.opened = app, settings, opened
        self._base_origin, self._trusted = settings.base_url, frozenset(trusted_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        notes: Exchange = scope[exchange.KEY]
        mounted = is_mounted(self.settings, scope)
        if mounted and self.opened(scope):
            notes.by_cookie, notes.identity = False, None if notes.by_cookie else notes.identity
            set_identity(scope, notes.identity)
            return
        if notes.by_cookie or (mounted and notes.identity is None):
            if is_refused(
                scope,
                base_origin=self._base_origin,
                trusted_origins=self._trusted,
                session_cookie=notes.by_cookie,
            ):
                raise CrossOrigin

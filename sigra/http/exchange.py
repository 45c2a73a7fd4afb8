"""What Sigra notes about one request beside its scope, from the first middleware to the last hook."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, cast

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

from sigra.errors import SigraError
from sigra.events import Event
from sigra.models import Attempt, Identity, Login

KEY = "sigra.exchange"
USER_AGENT_LENGTH = 512

_UNREAD: Mapping[str, Any] = MappingProxyType({})

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,128}")


class Exchange:
    """One request's notes.

    Args:
        scope: The ASGI scope as it arrived.
        address_of: Finds the client's address in a scope, behind trusted proxies.
    """

    identity: Identity | None = None
    """Who asks."""
    by_cookie = False
    """Whether a cookie said so, which a browser sends along by itself."""
    pending: Login | None = None
    """The pending sign-in that a factor asked for."""
    refusal: SigraError | None = None
    """What a guard of the application refused with, whatever its framework made of it."""
    body: Mapping[str, Any] = _UNREAD
    """Below the mount path: the outcome of the first reading of the body."""
    attempts: tuple[Attempt, ...] = ()
    """Attempts that were asked about, newest last."""
    failures: tuple[SigraError, ...] = ()
    """Wrong proofs that are recorded already."""
    limited: frozenset[str] = frozenset()
    """Actions that were counted against their limits."""
    events: tuple[Event, ...] = ()
    """Facts to tell after the answer."""
    _request_id: str | None = None

    def __init__(self, scope: Scope, address_of: Callable[[Scope], str]) -> None:
        self._scope = scope
        self._address_of = address_of

    def tell(self, event: Event) -> None:
        """Keep a fact until the answer is out."""
        self.events += (event,)

    @property
    def client(self) -> str:
        """The client's address."""
        return self._address_of(self._scope)

    @property
    def user_agent(self) -> str | None:
        """As sent, at most 512 characters."""
        agent = Headers(scope=self._scope).get("user-agent")
        return agent[:USER_AGENT_LENGTH] if agent else None

    @property
    def languages(self) -> str | None:
        """`Accept-Language` as sent (RFC 9110, section 12.5.4)."""
        return Headers(scope=self._scope).get("accept-language")

    @property
    def request_id(self) -> str:
        """The proxy's `X-Request-ID` when it has a harmless form, else one of our own; the same for the request."""
        if self._request_id is None:
            sent = Headers(scope=self._scope).get("x-request-id", "")
            self._request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        return self._request_id

    @property
    def is_websocket(self) -> bool:
        """Whether the answer may be hours away."""
        return bool(self._scope["type"] == "websocket")


current: ContextVar[Exchange | None] = ContextVar("sigra_exchange", default=None)
"""The exchange of the request that the running task serves; None in later work and on the command line."""


def typed(connection: HTTPConnection) -> Mapping[str, Any]:
    """The fields of the form that was posted; none when it could not be read, or nothing was."""
    mapping: Mapping[str, Any] = of(connection).body.get("mapping", _UNREAD) if KEY in connection.scope else _UNREAD
    return mapping


def of(connection: HTTPConnection) -> Exchange:
    """The notes of a request that came through the identity middleware."""
    return cast(Exchange, connection.scope[KEY])

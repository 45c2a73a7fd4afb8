"""Who asks: the one place where credentials become an identity."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.types import Scope

from sigra import hookspecs
from sigra.errors import HookFailed, InvalidBearerToken, InvalidToken, Malformed
from sigra.hooks import Calls
from sigra.models import Identity
from sigra.protocols import Auth

_log = logging.getLogger("sigra")


class Resolved(NamedTuple):
    """Who asks, whether a cookie said so, and which cookies are dead."""

    identity: Identity | None = None
    by_cookie: bool = False
    dead: tuple[str, ...] = ()


class Resolver:
    """Finds out who asks: Bearer credential first, else session cookie.

    Args:
        cookies: The names, without prefix, of all cookies that plugins read.
    """

    def __init__(self, auth: Auth, calls: Calls, cookies: Sequence[str]) -> None:
        self.auth, self.calls = auth, calls
        self._cookies = cookies
        self._has_scopes = bool(calls.asked(hookspecs.scopes_for_identity))

    async def resolve(self, scope: Scope) -> Resolved:
        """The identity of a connection.

        Raises:
            Malformed: Two credentials of one kind.
            InvalidBearerToken: A Bearer credential that is ours and bad.
            Unavailable: It could not be looked up.
        """
        cookie = authorization = None
        for name, value in scope["headers"]:
            if name == b"cookie":
                cookie = value
            elif name == b"authorization":
                if authorization is not None:
                    raise Malformed("The request carries two Authorization headers.")
                authorization = value
        resolved = Resolved()
        if authorization is not None:
            scheme, _, credentials = authorization.decode("latin-1").partition(" ")
            scheme = scheme.lower()
            resolved = await self._by_header(HTTPConnection(scope), scheme, credentials.strip(" \t"))
            if scheme == "bearer":
                cookie = None
        if cookie is not None and resolved.identity is None:
            resolved = await self._by_cookie(HTTPConnection(scope))
        return await self._with_scopes(resolved) if self._has_scopes else resolved

    async def _by_header(self, connection: HTTPConnection, scheme: str, credentials: str) -> Resolved:
        try:
            answers = await self.calls.answers(
                self.auth,
                hookspecs.identity_from_authorization,
                request=connection,
                scheme=scheme,
                credentials=credentials,
            )
        except InvalidToken as error:
            raise InvalidBearerToken from error
        return Resolved(_only(answers)) if answers else Resolved()

    async def _by_cookie(self, connection: HTTPConnection) -> Resolved:
        try:
            answers = await self.calls.answers(self.auth, hookspecs.identity_from_cookie, request=connection)
        except InvalidToken:
            return Resolved(dead=tuple(name for name in self._cookies if self.auth.cookie(connection, name)))
        return Resolved(_only(answers), by_cookie=True) if answers else Resolved()

    async def _with_scopes(self, resolved: Resolved) -> Resolved:
        identity = resolved.identity
        # A credential that stands alone keeps what it was given: an API key never grows.
        if identity is None or identity.session_id is None:
            return resolved
        more = await self.calls.each(self.auth, hookspecs.scopes_for_identity, identity=identity)
        return resolved._replace(identity=replace(identity, scopes=identity.scopes.union(*more)))


def _only(answers: Sequence[tuple[str, Identity]]) -> Identity:
    if len(answers) > 1:
        both = " and ".join(name for name, _ in answers)
        _log.error("plugins %s both answered one credential: switch one off", both)
        raise HookFailed
    return answers[0][1]

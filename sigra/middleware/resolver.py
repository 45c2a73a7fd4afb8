"""Who asks: the one place where credentials become an identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.types import Scope

from sigra import hookspecs
from sigra.errors import InvalidBearerToken, InvalidToken, Malformed
from sigra.hooks import Calls
from sigra.http.headers import sent
from sigra.models import Identity
from sigra.protocols import Auth


class Resolved(NamedTuple):
    """Who asks, whether a cookie said so, and which cookies are dead."""

    identity: Identity | None = None
    by_cookie: bool = False
    dead: tuple[str, ...] = ()


_NOBODY = Resolved()


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
        by_name = dict(scope["headers"])
        cookie, authorization = b"cookie" in by_name, b"authorization" in by_name
        if not cookie and not authorization:
            return _NOBODY
        connection, resolved = HTTPConnection(scope), _NOBODY
        if authorization:
            [*more, value] = sent(scope, b"authorization")
            if more:
                raise Malformed("The request carries two Authorization headers.")
            scheme, _, credentials = value.decode("latin-1").partition(" ")
            scheme = scheme.lower()
            try:
                identity = await self.calls.only(
                    self.auth,
                    hookspecs.identity_from_authorization,
                    request=connection,
                    scheme=scheme,
                    credentials=credentials.strip(" \t"),
                )
            except InvalidToken as error:
                raise InvalidBearerToken from error
            resolved = Resolved(identity)
            cookie = cookie and identity is None and scheme != "bearer"
        if cookie:
            try:
                identity = await self.calls.only(self.auth, hookspecs.identity_from_cookie, request=connection)
            except InvalidToken:
                dead = tuple(name for name in self._cookies if self.auth.cookie(connection, name))
                resolved = Resolved(dead=dead)
            else:
                resolved = Resolved(identity, identity is not None)
        return await self._with_scopes(resolved) if self._has_scopes else resolved

    async def _with_scopes(self, resolved: Resolved) -> Resolved:
        identity = resolved.identity
        # A credential that stands alone keeps what it was given: an API key never grows.
        if identity is None or identity.session_id is None:
            return resolved
        more = await self.calls.each(self.auth, hookspecs.scopes_for_identity, identity=identity)
        return resolved._replace(identity=replace(identity, scopes=identity.scopes.union(*more)))

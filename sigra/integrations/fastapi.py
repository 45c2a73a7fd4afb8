"""Guards as FastAPI's dependencies, which also show the padlock in `/docs`.

They hold for WebSockets too, and `dependency_overrides` finds them by value.
"""

# FastAPI reads the annotations of a callable object only when they are no strings.

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Security
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from sigra import guards
from sigra.models import Assurance, User

__all__ = ["CurrentUser", "OptionalUser", "current_user", "optional_user", "requires"]


class _Scheme(SecurityBase):
    """A security scheme of the OpenAPI document; the credential itself was looked at before FastAPI was asked.

    FastAPI's own schemes take a `Request`, which a WebSocket is not.
    """

    def __init__(self, name: str, model: APIKey | HTTPBearer) -> None:
        self.scheme_name, self.model = name, model

    async def __call__(self) -> None:
        """Nothing is left to do; a `def` would go through the thread pool."""


_SESSION = _Scheme(
    "SigraSession",
    APIKey.model_validate(
        {
            "in": APIKeyIn.cookie,
            "name": "__Host-sigra",
            "description": "The session cookie that a sign-in sets; over http on localhost its name is `sigra`.",
        }
    ),
)
_BEARER = _Scheme("SigraBearer", HTTPBearer(description="An API key."))


async def _padlock(session: Annotated[None, Security(_SESSION)], bearer: Annotated[None, Security(_BEARER)]) -> None:
    """Either of the two credentials, in the document."""


_Padlock = Annotated[None, Depends(_padlock)]


async def current_user(user: Annotated[User, Depends(guards.current_user)], _: _Padlock) -> User:
    """Whoever is signed in, else 401; an override of `sigra.current_user` holds here too."""
    return user


async def optional_user(connection: HTTPConnection) -> User | None:
    """Whoever is signed in, or None; without a padlock, since nothing is demanded."""
    if connection.scope.get("sigra.identity", connection) is None:
        return None
    return await guards.current_user(connection)  # which also tells a request that did not come through Sigra


CurrentUser = Annotated[User, Depends(current_user)]
"""`async def route(user: CurrentUser)`: whoever is signed in, else 401."""

OptionalUser = Annotated[User | None, Depends(optional_user)]
"""`async def route(user: OptionalUser)`: whoever is signed in, or None."""


class Requirement(guards.Requirement):
    """What `requires` returns; two of equal terms are equal, but none is equal to one of `sigra.requires`.

    `typing` keeps one `Annotated` for equal arguments: whether a route has its padlock would depend on the order of
    imports.
    """

    async def __call__(self, connection: HTTPConnection, _: _Padlock = None) -> User:
        """The user, when every term is met; raises as `sigra.requires` does."""
        return await super().__call__(connection)


def requires(
    *, scopes: Iterable[str] = (), fresh: bool | timedelta = False, assurance: Assurance | None = None
) -> Requirement:
    """Ask for more than a user: `Depends(requires(scopes=["reports:read"]))`.

    Args:
        scopes: All of them must be carried.
        fresh: Signed in within the window of `SIGRA_REAUTHENTICATION__FRESH`, or within the one given.
        assurance: At least this level (NIST SP 800-63B, section 4).
    """
    terms = guards.requires(scopes=scopes, fresh=fresh, assurance=assurance)
    return Requirement(terms.scopes, terms.fresh, terms.assurance)

"""Who asks in Starlette's shape, so that `request.user`, `request.auth` and its `@requires` work."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.authentication import AuthCredentials, BaseUser, UnauthenticatedUser
from starlette.types import Scope

from sigra.models import Identity, User

AUTHENTICATED = "authenticated"
"""The scope that Starlette's documentation gives whoever is signed in ("Authentication", AuthCredentials)."""


@dataclass(frozen=True, slots=True)
class SignedInUser(BaseUser):
    """What `request.user` is for somebody who is signed in.

    Args:
        user: The account.
    """

    user: User

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        """The name, else the address."""
        return self.user.name or self.user.email or self.identity

    @property
    def identity(self) -> str:
        """The account's id, which never changes."""
        return str(self.user.id)


def set_starlette_user(scope: Scope, identity: Identity | None) -> None:
    """Put `user` and `auth` into the scope, as Starlette's `AuthenticationMiddleware` does."""
    if identity is None:
        scope["user"], scope["auth"] = UnauthenticatedUser(), AuthCredentials()
        return
    scope["user"] = SignedInUser(identity.user)
    scope["auth"] = AuthCredentials([AUTHENTICATED, *sorted(identity.scopes)])

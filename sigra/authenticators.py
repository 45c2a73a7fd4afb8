"""What follows when a user gets a way to prove who they are, or loses one: the same for every kind of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection

from sigra import hookspecs
from sigra.db.users import UserTable
from sigra.errors import LastAuthenticator
from sigra.events import AddAuthenticator, AuthenticatorAdded, AuthenticatorRemoved, RemoveAuthenticator
from sigra.messages import Message
from sigra.models import Authenticator, Identity, User
from sigra.protocols import Auth


class UserAuthenticators:
    """Who can prove what, and what is done when that changes."""

    def __init__(self, auth: Auth, users: UserTable) -> None:
        self._auth, self._users = auth, users

    async def of(self, tx: AsyncConnection, user: User) -> list[Authenticator]:
        """All that a user has; see `Authenticators.of`."""
        found = await self._auth.each(hookspecs.authenticators_for_user, tx=tx, user=user)
        return [authenticator for its in found for authenticator in its]

    async def added(
        self,
        tx: AsyncConnection,
        user: User,
        authenticator: Authenticator,
        request: HTTPConnection | None = None,
        *,
        tell: bool = True,
    ) -> dict[str, Any]:
        """Ask, record and tell; see `Authenticators.added`."""
        auth = self._auth
        await auth.act(tx, AddAuthenticator(user=user, request=request, authenticator=authenticator))
        if await self._is_first_factor(tx, user, authenticator):
            # Whatever was let begin by less than the account asks for from now on does not go on.
            await self._users.bump_security_version(tx, user)
        await auth.emit(tx, AuthenticatorAdded(user_id=user.id, metadata=_described(authenticator)))
        if tell:
            await self._tell(tx, user, "factor_added", authenticator)
        said = await auth.each(hookspecs.authenticator_added, tx=tx, user=user, authenticator=authenticator)
        return {name: value for its in said for name, value in its.items()}

    async def _is_first_factor(self, tx: AsyncConnection, user: User, new: Authenticator) -> bool:
        present = [one for one in await self.of(tx, user) if one.kind == "mfa"]
        return new.kind == "mfa" and all((one.method, one.id) == (new.method, new.id) for one in present)

    async def removed(
        self,
        tx: AsyncConnection,
        user: User,
        authenticator: Authenticator,
        request: HTTPConnection | None = None,
        *,
        tell: bool = True,
    ) -> None:
        """Ask, record, end and tell; see `Authenticators.removed`."""
        auth = self._auth
        # Two who remove one each see what the other has done, also where their plugin forgot to wait for that.
        await auth.users.lock(tx, user.id)
        if authenticator.alone and not any(its.alone for its in await self.of(tx, user)):
            raise LastAuthenticator
        await auth.act(tx, RemoveAuthenticator(user=user, request=request, authenticator=authenticator))
        await auth.emit(tx, AuthenticatorRemoved(user_id=user.id, metadata=_described(authenticator)))
        identity: Identity | None = None if request is None else request.scope["sigra.identity"]
        own = identity is not None and identity.user.id == user.id
        await auth.revoke(tx, user, "authenticator_removed", identity.session_id if identity and own else None)
        if tell:
            await self._tell(tx, user, "factor_removed", authenticator)

    async def _tell(self, tx: AsyncConnection, user: User, kind: str, authenticator: Authenticator) -> None:
        # Not its name: whoever chose that would write to the mailbox in ours.
        if user.email is not None:
            await self._auth.send(tx, Message(kind, user.email, user, {"method": authenticator.method}))


def _described(authenticator: Authenticator) -> dict[str, str]:
    return {
        "kind": authenticator.kind,
        "method": authenticator.method,
        "id": authenticator.id,
        "name": authenticator.name,
    }

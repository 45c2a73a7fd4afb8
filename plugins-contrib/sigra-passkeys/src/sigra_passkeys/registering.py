"""Registration: whoever is signed in, or only has an address yet, gets a passkey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import FIRST_AUTHENTICATOR, Auth, Conflict, InvalidCredentials, Login, LoginExpired, User, requires
from sigra_passkeys import challenges
from sigra_passkeys.challenges import ACTION, REGISTER, Held, new_challenge
from sigra_passkeys.described import METHOD, described, proven
from sigra_passkeys.presented import BadCredential, answered
from sigra_passkeys.relying_party import Registered, RelyingParty
from sigra_passkeys.shapes import NewPasskey, Nothing
from sigra_passkeys.stored import MOST, TOO_MANY, Stored

PAGE = "passkeys/register"

UNNAMED = "Passkey"


@dataclass(frozen=True)
class Registering:
    """Both steps of a registration (Level 3, section 7.1)."""

    auth: Auth
    party: RelyingParty
    stored: Stored

    async def begin(self, request: Request) -> Response:
        """POST /passkeys/register/options: the options of `navigator.credentials.create`. Needs a fresh sign-in."""
        auth = self.auth
        user, login = await self._holder(request)
        await auth.read(request, Nothing)
        await auth.limit(request, ACTION)

        async def prepare(tx: AsyncConnection) -> tuple[bytes, list[Any]]:
            return await self.stored.handle(auth, tx, user), await self.stored.of(tx, user.id)

        handle, present = await auth.db.transaction(prepare)
        if len(present) >= MOST:
            raise Conflict(TOO_MANY)
        verify, challenge = self._must_verify(login), new_challenge(auth)
        account = user.email or user.name or self.party.name
        options = self.party.creation_options(
            challenge, handle, account, user.name or account, [one.descriptor for one in present], verify=verify
        )
        return await challenges.issue(
            auth, request, REGISTER, challenge, options, verify=verify, bound=_bound(user, login)
        )

    async def finish(self, request: Request) -> Response:
        """POST /passkeys/register: the new passkey counts from now on; the session gets a new id."""
        auth = self.auth
        body = await auth.read(request, NewPasskey)
        user, login = await self._holder(request)
        answer = answered(body.credential)
        async with auth.attempt(request, method=METHOD, user=user, guessable=False):
            held = await challenges.find(auth, request, REGISTER, answer)
            new = self._accepted(held, body.credential, _bound(user, login))
            assert held is not None
            name = body.name.strip() or UNNAMED
            change = partial(self._add, request, held, new, name)
            if login is None:
                response = await auth.renew(request, change, page=PAGE, status=201)
            else:
                response = await auth.sign_in(request, self._passed(login, new), change, page=PAGE)
        return challenges.forget(auth, request, response, answer)

    def _accepted(self, held: Held | None, credential: Mapping[str, Any], bound: str) -> Registered:
        """The new passkey.

        Raises:
            InvalidCredentials: The challenge was not made for this, or the answer to it is not right.
        """
        if held is None or held.bound != bound:
            raise InvalidCredentials
        try:
            return self.party.registered(credential, held.challenge, verify=held.verify)
        except BadCredential as bad:
            raise InvalidCredentials from bad

    async def _add(
        self,
        request: Request,
        held: Held,
        new: Registered,
        name: str,
        tx: AsyncConnection,
        user: User,
    ) -> Mapping[str, Any]:
        await held.spend(self.auth, tx)
        passkey = await self.stored.add(self.auth, tx, user, new, name)
        added = await self.auth.authenticators.added(tx, user, described(passkey), request)
        return {**passkey.public(), **added}

    def _passed(self, login: Login, new: Registered) -> Login:
        """The sign-in after it: the passkey was shown to work by its registration."""
        amr, level = proven(verified=new.verified)
        meets = ("mfa", FIRST_AUTHENTICATOR) if login.enrolling else ("mfa",)
        return login.passed(METHOD, amr=amr, meets=meets, level=level)

    def _must_verify(self, login: Login | None) -> bool:
        """Whether it will be all that lets its user in, so that it must be able to verify them."""
        return login is not None and login.enrolling

    async def _holder(self, request: Request) -> tuple[User, Login | None]:
        """Who registers: whoever is signed in, freshly, or a sign-in that waits for just that."""
        if request.scope["sigra.identity"] is None:
            try:
                login = await self.auth.pending(request)
            except LoginExpired:
                login = None
            if login is not None and login.may_enroll:
                return login.user, login
        return await requires(fresh=True)(request), None


def _bound(user: User, login: Login | None) -> str:
    """To what a challenge of a registration belongs."""
    return f"user {user.id}" if login is None else f"sign-in {login.pending}"

"""Sign-in by a passkey: alone, after another method, or again by whoever is signed in already."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, InvalidCredentials, LastAuthenticator, Login, LoginExpired, User, canonical_email
from sigra_passkeys import challenges
from sigra_passkeys.challenges import FACTOR, SIGN_IN, Held, new_challenge
from sigra_passkeys.described import METHOD, UNVERIFIED, described, proven
from sigra_passkeys.relying_party import Asserted, BadCredential, Descriptor, RelyingParty, credential_id, user_handle
from sigra_passkeys.shapes import Options, PasskeyCounterWentBack, Proof, Wanted
from sigra_passkeys.stored import Passkey, Stored

_log = logging.getLogger("sigra.passkeys")

ACTION = "passkeys.options"
"""What is counted: each request for options writes a row."""

DECOY = "passkeys.decoy"

LENGTHS = (16, 20, 32, 64)
"""Bytes of the ids that authenticators in use make."""

TRANSPORTS = (("hybrid", "internal"), ("internal",), ("nfc", "usb"), ("usb",))
"""What they say of themselves."""


@dataclass(frozen=True)
class Proving:
    """Both steps of a sign-in (Level 3, section 7.2)."""

    auth: Auth
    party: RelyingParty
    stored: Stored
    options: Options

    # Options

    async def begin(self, request: Request) -> Response:
        """POST /login/passkey/options: the options of `navigator.credentials.get`, alike for every address."""
        auth = self.auth
        body = await auth.read(request, Wanted)
        await auth.limit(request, ACTION)
        login = None if body.intent == "sign_in" else await self._pending(request)
        challenge = new_challenge(auth)
        if login is not None:
            return await self._factor_options(login, challenge)
        verify = self.options.user_verification == "required"
        allowed = [] if body.email is None else await self._allowed(body.email)
        options = self.party.request_options(challenge, allowed, verify=verify)
        named = body.email is not None
        return await challenges.issue(auth, SIGN_IN, challenge, options, verify=verify, named=named)

    async def _factor_options(self, login: Login, challenge: bytes) -> Response:
        """For a sign-in that waits: its user's own passkeys."""
        async with self.auth.db.connect() as tx:
            own = await self.stored.of(tx, login.user.id)
        # The same key once more is no second factor, unless it verifies its user this time.
        verify = METHOD in login.methods
        options = self.party.request_options(challenge, [one.descriptor for one in own], verify=verify)
        return await challenges.issue(
            self.auth, FACTOR, challenge, options, verify=verify, bound=str(login.pending), named=True
        )

    async def _allowed(self, email: str) -> list[Descriptor]:
        """The passkeys of an address; for one without any, others that are always the same: nobody can tell."""
        user = await self.auth.users.by_email(email)
        usable = user is not None and user.status == "active"
        async with self.auth.db.connect() as tx:
            own = await self.stored.of(tx, user.id if user is not None and usable else uuid.uuid4())
        decoys = self._decoys(email)
        return [one.descriptor for one in own] or decoys

    def _decoys(self, email: str) -> list[Descriptor]:
        try:
            address = canonical_email(email)
        except ValueError:
            address = email
        seed = self.auth.tokens.digest(DECOY, address)
        # Most have one, some have two.
        return [_decoy(seed, number) for number in range(2 if seed[0] < 64 else 1)]

    # Answers

    async def finish(self, request: Request) -> Response:
        """POST /login/passkey: sign in by a passkey, alone or for a sign-in that waits; 202 for what is still owed."""
        auth = self.auth
        body = await auth.read(request, Proof)
        held = await challenges.find(auth, request, SIGN_IN) or await challenges.find(auth, request, FACTOR)
        login = None if held is None or held.token.purpose != FACTOR else await auth.pending(request)
        passkey, owner = await self._presented(body.credential)
        user = owner if login is None else login.user
        async with auth.attempt(request, method=METHOD, user=user, guessable=False):
            passkey, shown = await self._shown(held, passkey, owner, login, body.credential)
            assert held is not None
            assert owner is not None
            await self._check_counter(passkey, shown, owner)
            change = partial(self._spend, held, passkey, shown)
            response = await auth.sign_in(request, _login(login, owner, shown, body), change)
        return challenges.forget(auth, response)

    async def _presented(self, credential: Mapping[str, Any]) -> tuple[Passkey | None, User | None]:
        """Which passkey is presented, and whose it is; nothing is proven yet."""
        id = credential_id(credential)
        if id is None:
            return None, None
        async with self.auth.db.connect() as tx:
            passkey = await self.stored.find(tx, id)
            owner = None if passkey is None else await self.auth.users.by_id(passkey.user_id, tx)
        return passkey, owner

    async def _shown(
        self,
        held: Held | None,
        passkey: Passkey | None,
        owner: User | None,
        login: Login | None,
        credential: Mapping[str, Any],
    ) -> tuple[Passkey, Asserted]:
        """What the passkey has shown.

        Raises:
            InvalidCredentials: Nothing.
        """
        if held is None or passkey is None or owner is None:
            raise InvalidCredentials
        if login is not None and (held.bound != str(login.pending) or owner.id != login.user.id):
            raise InvalidCredentials
        try:
            await self._check_handle(passkey, user_handle(credential), must=not held.named)
            return passkey, self.party.asserted(credential, held.challenge, passkey.known, verify=held.verify)
        except BadCredential as bad:
            raise InvalidCredentials from bad

    async def _check_handle(self, passkey: Passkey, handle: bytes | None, *, must: bool) -> None:
        """Whom the authenticator means is who owns the passkey (Level 3, section 7.2, step 6)."""
        if handle is None and not must:
            return
        async with self.auth.db.connect() as tx:
            own = await self.stored.handle_of(tx, passkey.user_id)
        if handle is None or own != handle:
            raise BadCredential("user handle")

    # The counter

    async def _check_counter(self, passkey: Passkey, shown: Asserted, owner: User) -> None:
        """A counter that does not grow may be that of a copy (Level 3, section 6.1.1); synced passkeys stay at 0.

        Raises:
            InvalidCredentials: The policy does not let it in.
        """
        if shown.sign_count > passkey.sign_count or shown.sign_count == passkey.sign_count == 0:
            return
        policy = self.options.counter
        _log.warning("the counter of passkey %s of user %s went back: policy %s", passkey.id, owner.id, policy)
        await self.auth.db.transaction(partial(self._tell, passkey, owner))
        if policy == "revoke":
            await self._revoke(passkey, owner)
        if policy != "warn":
            raise InvalidCredentials

    async def _tell(self, passkey: Passkey, owner: User, tx: AsyncConnection) -> None:
        metadata = {"id": str(passkey.id), "policy": self.options.counter}
        await self.auth.emit(tx, PasskeyCounterWentBack(user_id=owner.id, outcome="failure", metadata=metadata))

    async def _revoke(self, passkey: Passkey, owner: User) -> None:
        """Take it away; where it is the last way in it stays, and goes on being refused."""

        async def remove(tx: AsyncConnection) -> None:
            user = await self.auth.users.lock(tx, owner.id)
            if user is not None and await self.stored.remove(tx, user, passkey.id) is not None:
                await self.auth.authenticators.removed(tx, user, described(passkey, self.options))

        try:
            await self.auth.db.transaction(remove)
        except LastAuthenticator:
            _log.warning("passkey %s is the last way in of user %s and stays", passkey.id, owner.id)

    async def _spend(self, held: Held, passkey: Passkey, shown: Asserted, tx: AsyncConnection, user: User) -> None:
        await held.spend(self.auth, tx)
        if not await self.stored.use(self.auth, tx, passkey, shown):
            raise InvalidCredentials

    async def _pending(self, request: Request) -> Login | None:
        try:
            return await self.auth.pending(request)
        except LoginExpired:
            return None


def _login(login: Login | None, owner: User, shown: Asserted, body: Proof) -> Login:
    """The sign-in that the passkey begins, or goes on with."""
    amr, level = proven(verified=shown.verified)
    if login is not None:
        login = replace(login, trust_browser=login.trust_browser or body.trust_browser)
        return login.passed(METHOD, amr=amr, meets=("mfa",), level=level)
    begun = Login(
        owner, UNVERIFIED, remember=body.remember, next=body.next, guessable=False, trust_browser=body.trust_browser
    )
    return begun.passed(METHOD, amr=amr, meets=("mfa",) if shown.verified else (), level=level)


def _decoy(seed: bytes, number: int) -> Descriptor:
    """A passkey that is none, like those that are some."""
    drawn: Sequence[int] = hashlib.sha256(seed + bytes([number])).digest()
    length = LENGTHS[drawn[0] % len(LENGTHS)]
    id = hashlib.shake_256(seed + bytes([number])).digest(length)
    return Descriptor(id, TRANSPORTS[drawn[1] % len(TRANSPORTS)])

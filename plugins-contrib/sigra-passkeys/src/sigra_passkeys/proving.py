"""Sign-in by a passkey: alone, after another method, or again by whoever is signed in already."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import Auth, Conflict, InvalidCredentials, Login, LoginExpired, Refused, User, canonical_email
from sigra_passkeys import challenges
from sigra_passkeys.challenges import ACTION, FACTOR, SIGN_IN, Held, new_challenge
from sigra_passkeys.described import METHOD, UNVERIFIED, described, proven
from sigra_passkeys.presented import BadCredential, answered, credential_id, user_handle
from sigra_passkeys.relying_party import Asserted, Descriptor, Known, RelyingParty, key_of_nobody
from sigra_passkeys.shapes import Options, PasskeyCounterWentBack, Proof, Wanted
from sigra_passkeys.stored import Passkey, Stored

_log = logging.getLogger("sigra.passkeys")

DECOY = "passkeys.decoy"

LENGTHS = (16, 20, 32, 48, 64)
"""Bytes of the ids that authenticators in use make."""

TRANSPORTS: tuple[tuple[str, ...], ...] = (("hybrid", "internal"), ("internal",), ("nfc", "usb"), ("usb",), ())
"""What they say of themselves."""


@dataclass(frozen=True)
class Proving:
    """Both steps of a sign-in (Level 3, section 7.2)."""

    auth: Auth
    party: RelyingParty
    stored: Stored
    options: Options
    nobody: bytes = field(default_factory=key_of_nobody, repr=False)

    # Options

    async def begin(self, request: Request) -> Response:
        """POST /login/passkey/options: the options of `navigator.credentials.get`, alike for every address."""
        auth = self.auth
        body = await auth.read(request, Wanted)
        await auth.limit(request, ACTION)
        login = None if body.intent == "sign_in" else await self._pending(request)
        challenge = new_challenge(auth)
        if login is not None:
            return await self._factor_options(request, login, challenge)
        verify = self.options.user_verification == "required"
        allowed = await (self._own(request.scope["sigra.user"]) if body.email is None else self._allowed(body.email))
        options = self.party.request_options(challenge, allowed, verify=verify)
        email = None if body.email is None else _canonical(body.email) or ""
        return await challenges.issue(auth, request, SIGN_IN, challenge, options, verify=verify, email=email)

    async def _factor_options(self, request: Request, login: Login, challenge: bytes) -> Response:
        """For a sign-in that waits: its user's own passkeys."""
        own = await self._own(login.user)
        # The same key once more is no second factor, unless it verifies its user this time.
        verify = METHOD in login.methods
        options = self.party.request_options(challenge, own, verify=verify)
        return await challenges.issue(
            self.auth, request, FACTOR, challenge, options, verify=verify, bound=str(login.pending)
        )

    async def _own(self, user: User | None) -> list[Descriptor]:
        """The passkeys of whoever is known already; of nobody, the authenticator finds them by itself."""
        async with self.auth.db.connect() as tx:
            own = [] if user is None else await self.stored.of(tx, user.id)
        return [one.descriptor for one in own]

    async def _allowed(self, email: str) -> list[Descriptor]:
        """The passkeys of an address; for one without any, others that are always the same: nobody can tell."""
        user = await self.auth.users.by_email(email)
        usable = user is not None and user.status == "active"
        async with self.auth.db.connect() as tx:
            own = await self.stored.of(tx, user.id if user is not None and usable else uuid.uuid4())
        decoys = self._decoys(email)
        return [one.descriptor for one in own] or decoys

    def _decoys(self, email: str) -> list[Descriptor]:
        seed = self.auth.tokens.digest(DECOY, _canonical(email) or email)
        # Most have one, some have two.
        return [_decoy(seed, number) for number in range(2 if seed[0] < 64 else 1)]

    # Answers

    async def finish(self, request: Request) -> Response:
        """POST /login/passkey: sign in by a passkey, alone or for a sign-in that waits; 202 for what is still owed."""
        auth = self.auth
        body = await auth.read(request, Proof)
        challenge = answered(body.credential)
        held = await challenges.find(auth, request, SIGN_IN, challenge)
        held = held or await challenges.find(auth, request, FACTOR, challenge)
        login = None if held is None or held.token.purpose != FACTOR else await auth.pending(request)
        user = await self._meant(request, held, login, body.credential)
        # By the address where options were asked for by one: the same is counted whoever has it.
        email = None if held is None else held.email
        known = user if email is None else None
        async with auth.attempt(request, method=METHOD, email=email, user=known, guessable=False):
            passkey, shown = await self._shown(held, login, user, body.credential)
            assert held is not None
            assert user is not None
            went_back = passkey.went_back(shown)
            if went_back and self.options.counter != "warn":
                await self._refuse(request, held, passkey, user)
            change = partial(self._spend, held, passkey, shown, went_back)
            response = await auth.sign_in(request, _login(login, user, shown, body), change)
        return challenges.forget(auth, request, response, challenge)

    async def _meant(
        self, request: Request, held: Held | None, login: Login | None, credential: Mapping[str, Any]
    ) -> User | None:
        """Whose passkey it must be (Level 3, section 7.2, step 6); nothing is proven yet."""
        if login is not None or held is None:
            return None if login is None else login.user
        if held.email is not None:
            return await self.auth.users.by_email(held.email)
        handle = user_handle(credential)
        if handle is None:
            signed_in: User | None = request.scope["sigra.user"]
            return signed_in
        async with self.auth.db.connect() as tx:
            owner = await self.stored.owner(tx, handle)
            return None if owner is None else await self.auth.users.by_id(owner, tx)

    async def _shown(
        self, held: Held | None, login: Login | None, user: User | None, credential: Mapping[str, Any]
    ) -> tuple[Passkey, Asserted]:
        """What the passkey has shown; the same work whether or not there is one.

        Raises:
            InvalidCredentials: Nothing.
        """
        if held is None or (login is not None and held.bound != str(login.pending)):
            raise InvalidCredentials
        id, owner = credential_id(credential) or b"", uuid.uuid4() if user is None else user.id
        async with self.auth.db.connect() as tx:
            passkey = await self.stored.find(tx, owner, id)
            handle = await self.stored.handle_of(tx, owner)
        known = Known(id, self.nobody, backup_eligible=False) if passkey is None else passkey.known
        try:
            _check_handle(credential, handle)
            shown = self.party.asserted(credential, held.challenge, known, verify=held.verify)
        except BadCredential as bad:
            raise InvalidCredentials from bad
        if passkey is None:
            raise InvalidCredentials
        # Whoever finds a key that has no PIN can give it one: that verifies nobody (Level 3, section 4, uvInitialized).
        shown = replace(shown, verified=shown.verified and passkey.verified)
        if held.verify and not shown.verified:
            raise InvalidCredentials
        return passkey, shown

    async def _spend(
        self, held: Held, passkey: Passkey, shown: Asserted, went_back: bool, tx: AsyncConnection, user: User
    ) -> None:
        await held.spend(self.auth, tx)
        if not await self.stored.use(self.auth, tx, passkey, shown):
            raise InvalidCredentials
        if went_back:
            await self._tell(passkey, user, tx)

    # A counter that went back

    async def _refuse(self, request: Request, held: Held, passkey: Passkey, user: User) -> None:
        """Record it and do what the policy says.

        Raises:
            InvalidCredentials: Always.
        """

        async def record(tx: AsyncConnection) -> None:
            # First: what is sent twice has not grown either.
            await held.spend(self.auth, tx)
            await self._tell(passkey, user, tx)

        await self.auth.db.transaction(record)
        if self.options.counter == "revoke":
            await self._revoke(request, passkey, user)
        raise InvalidCredentials

    async def _tell(self, passkey: Passkey, user: User, tx: AsyncConnection) -> None:
        policy = self.options.counter
        _log.warning("the counter of passkey %s of user %s went back: policy %s", passkey.id, user.id, policy)
        metadata = {"id": str(passkey.id), "policy": policy}
        await self.auth.emit(tx, PasskeyCounterWentBack(user_id=user.id, outcome="failure", metadata=metadata))

    async def _revoke(self, request: Request, passkey: Passkey, owner: User) -> None:
        """Take it away; where something forbids that (the last way in, a demand) it stays, and is refused again."""

        async def remove(tx: AsyncConnection) -> None:
            user = await self.auth.users.lock(tx, owner.id)
            if user is not None and await self.stored.remove(tx, user, passkey.id) is not None:
                await self.auth.authenticators.removed(tx, user, described(passkey), request)

        try:
            await self.auth.db.transaction(remove)
        except (Conflict, Refused) as refused:
            _log.warning("passkey %s of user %s cannot be removed and stays: %s", passkey.id, owner.id, refused.code)

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


def _check_handle(credential: Mapping[str, Any], own: bytes | None) -> None:
    """Whom the authenticator means, if it says so, is whose passkey it must be."""
    handle = user_handle(credential)
    if handle is not None and handle != own:
        raise BadCredential("user handle")


def _canonical(email: str) -> str | None:
    """The address that options are asked for by; None for text that no account can have."""
    try:
        return canonical_email(email)
    except ValueError:
        return None


def _decoy(seed: bytes, number: int) -> Descriptor:
    """A passkey that is none, like those that are some."""
    drawn: Sequence[int] = hashlib.sha256(seed + bytes([number])).digest()
    length = LENGTHS[drawn[0] % len(LENGTHS)]
    id = hashlib.shake_256(seed + bytes([number])).digest(length)
    return Descriptor(id, TRANSPORTS[drawn[1] % len(TRANSPORTS)])

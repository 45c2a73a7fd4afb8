"""Who holds a mailed token: the same person who set what was set before, or only somebody who reads the mailbox.

An address may be typed by anybody, and what was set before it is proven may be an attacker's ("Pre-hijacked accounts",
USENIX Security 2022). It is kept only for who is shown to be the same person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from sigra.addresses import canonical_email
from sigra.errors import InvalidCredentials, LoginExpired
from sigra.models import Identity, User
from sigra.plugins.email_verification.shapes import Proof
from sigra.plugins.password import Password
from sigra.plugins.signup import PendingSignUp, SignUp
from sigra.protocols import Auth

CHECKED = 3
"""Passwords that one proof is compared with, whatever waits: the account's, and those of the newest sign-ups."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token, as far as it is shown.

    Args:
        user: The account of the address, as of when that was found out.
        sign_up: The one that is shown to be the holder's.
        same_person: Whether the holder is shown to be who set what the account has.
        enrolls: Whether the holder, in the browser that signed up, is still to choose how to sign in.
        loses: Whether there is something that a password, typed now, would keep.
    """

    user: User | None = None
    sign_up: PendingSignUp | None = field(default=None, repr=False)
    same_person: bool = False
    enrolls: bool = False
    loses: bool = False


@dataclass(frozen=True, slots=True)
class _Secret:
    """A password that shows who somebody is."""

    hash: str | None = field(repr=False)
    shows: Holder


async def find_holder(auth: Auth, request: Request, body: Proof, address: str) -> Holder:
    """Who holds the token of an address; inside an attempt, outside of transactions.

    Raises:
        InvalidCredentials: A password was typed that is neither the account's nor that of a sign-up.
    """
    user = await auth.users.by_email(address)
    if user is not None and user.email_verified:
        return Holder(user)
    own = await _own(auth, request, body, address)
    if user is not None and await _is_its(auth, request, user, own):
        return Holder(user, own, same_person=True, enrolls=_enrolls(own))
    secrets = await _secrets(auth, user, own, address)
    if body.password is not None and (user is not None or own is None):
        shown = await _by_password(auth, secrets, body.password)
        if shown is not None:
            return shown
        if own is None:
            raise InvalidCredentials
    loses = own is None and any(secret.hash is not None for secret in secrets)
    return Holder(user, own, enrolls=_enrolls(own), loses=loses)


async def _own(auth: Auth, request: Request, body: Proof, address: str) -> PendingSignUp | None:
    """The sign-up of this browser."""
    sign_up = signing_up(auth)
    if sign_up is None:
        return None
    return await sign_up.of_browser(auth, request, address, body.signup_token, body.login_token)


async def _is_its(auth: Auth, request: Request, user: User, own: PendingSignUp | None) -> bool:
    """Whether this browser made the account, is signed in to it, or is on its way there."""
    identity: Identity | None = request.scope["sigra.identity"]
    if own is not None and own.user_id == user.id:
        return True
    if identity is not None and identity.user.id == user.id:
        return True
    try:
        return (await auth.pending(request)).user.id == user.id
    except LoginExpired:
        return False


def _enrolls(own: PendingSignUp | None) -> bool:
    return own is not None and own.password_hash is None


async def _secrets(auth: Auth, user: User | None, own: PendingSignUp | None, address: str) -> Sequence[_Secret]:
    """What a password may be compared with."""
    found = []
    passwords, sign_up = _passwords(auth), signing_up(auth)
    if user is not None and passwords is not None:
        found.append(_Secret(await passwords.hash_of(auth, user), Holder(user, same_person=True)))
    if sign_up is not None and own is None:
        async with auth.db.connect() as tx:
            newest = await sign_up.pending.newest(tx, canonical_email(address), auth.clock(), CHECKED)
        found += [_Secret(one.password_hash, Holder(user, one)) for one in newest]
    return found[:CHECKED]


async def _by_password(auth: Auth, secrets: Sequence[_Secret], password: str) -> Holder | None:
    """Whom the password shows, in the same work whatever there is."""
    padding = [_Secret(None, Holder())] * (CHECKED - len(secrets))
    right = [one.shows for one in [*secrets, *padding] if await auth.hasher.verify(one.hash, password)]
    return next(iter(right), None)


def signing_up(auth: Auth) -> SignUp | None:
    """Where sign-ups wait, if any can."""
    return auth.plugin(SignUp) if auth.has(SignUp) else None


def _passwords(auth: Auth) -> Password | None:
    return auth.plugin(Password) if auth.has(Password) else None

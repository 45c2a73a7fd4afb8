"""The one seam: every session and token is issued here, after the union of what every plugin still demands.

A sign-in runs down this page: an attempt is asked about before its proof is looked at; `sign_in` settles it in one
transaction (user locked, pending sign-in spent, actions asked, challenges joined, credential issued, fact recorded);
the answer is built afterwards. No policy here or in a plugin ever looks at a URL.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sigra import hookspecs
from sigra.addresses import canonical_email
from sigra.db.engine import Database
from sigra.db.pending import PendingSignIns
from sigra.db.users import UserTable
from sigra.errors import (
    AccountDisabled,
    AddressAlone,
    InvalidCredentials,
    InvalidProof,
    LoginExpired,
    OtherAccount,
    SessionRequired,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from sigra.events import (
    Action,
    CredentialsRevoked,
    EmailVerified,
    Event,
    SignedIn,
    SignedOut,
    SignIn,
    SignInChallenged,
    SignInFailed,
    SignOut,
)
from sigra.hooks import Calls
from sigra.http import exchange
from sigra.http.answers import (
    Challenged,
    challenged,
    is_person,
    renewed,
    signed_in,
    signed_out,
    target,
    with_cookies_of,
)
from sigra.http.body import read_mapping
from sigra.http.redirects import safe_next
from sigra.limits import Limits
from sigra.models import Attempt, Challenge, Identity, Issued, Login, User
from sigra.protocols import Auth, Change

_log = logging.getLogger("sigra")

LOGIN_COOKIE = "sigra-login"
LOGIN_FIELD = "login_token"
LOGIN_LIFETIME = timedelta(minutes=10)
LOGIN_TRIES = 5
"""Wrong proofs after which a pending sign-in is dead (NIST SP 800-63B, section 5.2.2 allows 100 in all)."""

UNNAMED_METHOD = "unnamed"
"""The method of an attempt that a plugin did not announce."""


@dataclass(frozen=True)
class Seam:
    """Attempts, sign-in, sign-out, revocation and events.

    Args:
        carriers: Which plugin issues for a carrier.
        cookies: The names of the plugins' cookies, deleted by a sign-out.
        spawn: Runs `handle_event` in a task that shutdown waits for.
    """

    auth: Auth
    calls: Calls
    db: Database
    users: UserTable
    pendings: PendingSignIns
    limits: Limits
    carriers: Mapping[str, str]
    cookies: tuple[str, ...]
    spawn: Callable[[Event], None]

    # Attempts

    @asynccontextmanager
    async def attempt(
        self,
        request: HTTPConnection,
        *,
        method: str,
        email: str | None = None,
        user: User | None = None,
        guessable: bool = True,
    ) -> AsyncIterator[Attempt]:
        """Count a try and ask `before_attempt`, then record a wrong proof that leaves the block; see `Auth.attempt`."""
        named = email if user is None else user.email
        attempt = Attempt(method, exchange.of(request).client, _canonical(named), user, request, guessable)
        attempt = await self._announce(request, attempt)
        try:
            yield attempt
            if attempt.blocked:
                raise InvalidCredentials  # noqa: TRY301  (recorded like one that the block raises)
        except InvalidCredentials as error:
            raise await self._record_failure(request, attempt, error) from error

    async def limit(
        self, request: HTTPConnection, action: str, *, account: str | None = None, recipient: str | None = None
    ) -> None:
        """Count an action against the limits on it; see `Auth.limit`."""
        if action not in self.limits.actions:
            raise RuntimeError(f"no limit is on the action {action}: bring one by register_limits")
        notes = exchange.of(request)
        notes.limited |= {action}
        account, recipient = [await self._known_by(request, action, address) for address in (account, recipient)]
        await self.limits.count(action, client=notes.client, account=account, recipient=recipient)

    async def _known_by(self, request: HTTPConnection, action: str, address: str | None) -> str | None:
        """By what is counted whatever is done about an address: as a try at its account would be."""
        email = _canonical(address)
        if email is None:
            return None
        return await self._subject(Attempt(action, exchange.of(request).client, email, request=request))

    async def count(self, request: HTTPConnection, error: InvalidCredentials) -> InvalidCredentials:
        """Account for a wrong proof that reached the edge, so that a plugin without attempts is under limits too."""
        notes = exchange.of(request)
        if any(error is recorded for recorded in notes.failures):
            return error
        if not notes.attempts:
            await self._announce(request, Attempt(UNNAMED_METHOD, notes.client, request=request))
        return await self._record_failure(request, notes.attempts[-1], error)

    async def _announce(self, request: HTTPConnection, attempt: Attempt) -> Attempt:
        """Count a try wherever it counts, before its proof is looked at; what is known of it then."""
        notes = exchange.of(request)
        attempt = replace(attempt, subject=await self._subject(attempt))
        await self.limits.count("attempt", client=attempt.client, account=_guessed(attempt))
        try:
            await self.calls.each(self.auth, hookspecs.before_attempt, attempt=attempt)
        except InvalidCredentials:
            attempt = replace(attempt, blocked=True)
        await self._count_proof(attempt)
        if notes.pending is not None:
            await self._count_factor(attempt, notes.pending)
        await self._count_try(notes.pending)
        notes.attempts += (attempt,)
        return attempt

    async def _count_proof(self, attempt: Attempt) -> None:
        """Count what is looked at next; what a lock turns down is counted too, for the work, and never refused."""
        try:
            await self.limits.count("proof", client=attempt.client, account=_guessed(attempt))
        except TooManyAttempts:
            # An answer of its own would tell when the lock began, and so whether somebody signed in meanwhile.
            if not attempt.blocked:
                raise

    async def _subject(self, attempt: Attempt) -> str | None:
        """By what tries at the account are counted."""
        if attempt.email is None:
            return None if attempt.user is None else str(attempt.user.id)
        return await self.calls.first(self.auth, hookspecs.subject_for_attempt, attempt=attempt) or attempt.email

    async def _count_factor(self, attempt: Attempt, login: Login) -> None:
        """Count a proof for a pending sign-in at the account that it is about, whomever the attempt names."""
        if not _covers(attempt, login.user):
            attempt = replace(attempt, user=login.user, email=_canonical(login.user.email))
            attempt = replace(attempt, subject=await self._subject(attempt))
        await self.limits.count("factor", client=attempt.client, account=_guessed(attempt))

    async def _count_try(self, login: Login | None) -> None:
        """Use up a try of the pending sign-in: before its proof is looked at, so that parallel guesses share them."""
        if login is not None and login.pending is not None:
            counted = partial(self.pendings.count_try, id=login.pending, tries=LOGIN_TRIES)
            if not await self.db.transaction(counted):
                raise LoginExpired

    async def _record_failure(
        self, request: HTTPConnection, attempt: Attempt, error: InvalidCredentials
    ) -> InvalidCredentials:
        notes = exchange.of(request)
        if any(error is recorded for recorded in notes.failures):
            return error
        user_id = attempt.user.id if attempt.user else None
        metadata = {"method": attempt.method, "email": attempt.email}
        failed = SignInFailed(user_id=user_id, metadata=metadata, attempts=(attempt,))
        await self.db.transaction(partial(self.emit, event=failed))
        told = InvalidProof() if notes.pending is not None and type(error) is InvalidCredentials else error
        notes.failures += (error, told)
        return told

    # Sign in

    async def sign_in(
        self, request: Request, login: Login, change: Change | None = None, *, page: str | None = None
    ) -> Response:
        """Settle a sign-in and answer it; see `Auth.sign_in`."""
        # Here, before anything waits with it: a target may be as long as a body, and what waits is a row.
        path = safe_next(login.next or target(request), self.auth.settings.base_url)
        login = replace(_renewal(request, login), next=path)
        if any(_covers(attempt, login.user) for attempt in exchange.of(request).attempts):
            return await self._settled(request, login, change, page)
        method = (*login.methods, *login.amr, UNNAMED_METHOD)[0]
        async with self.attempt(request, method=method, user=login.user, guessable=login.guessable):
            return await self._settled(request, login, change, page)

    async def _settled(self, request: Request, login: Login, change: Change | None, page: str | None) -> Response:
        if any(attempt.blocked for attempt in exchange.of(request).attempts):
            raise InvalidCredentials
        result = await self.db.transaction(partial(self._settle, request=request, login=login, change=change))
        if isinstance(result, Challenged):
            answer, members = challenged(request, self.auth.settings, result), result.members
        else:
            issued, user, members = result
            login = replace(login, user=user)
            answer = signed_in(request, self.auth.settings, login, issued, members, drop=(LOGIN_COOKIE,))
        if page is None or not members or not is_person(request):
            return answer
        # A form that went on would lose what is told but once.
        shown = await self.auth.show(request, page, {**members, "onward": answer.headers["location"]})
        return with_cookies_of(answer, shown)

    async def _settle(
        self, tx: AsyncConnection, request: Request, login: Login, change: Change | None
    ) -> Challenged | tuple[Issued, User, Mapping[str, Any]]:
        user = await self._lock(tx, login)
        if login.pending is not None and not await self.pendings.spend(tx, login.pending, user.id):
            raise LoginExpired
        added: Mapping[str, Any] = {}
        if change is not None:
            added = _members(await change(tx, user))
            user = await self.users.lock(tx, user.id) or user
        login = replace(login, user=user)
        await self.act(tx, SignIn(user=user, request=request, login=login))
        owed, unmet = await self._owed(tx, request, login)
        if owed:
            return await self._challenge(tx, request, login, owed, added)
        if login.enrolling:
            raise AddressAlone
        # What was waived was not proven: the credential is good, but it is not fresh.
        login = replace(login, authenticated_at=None if unmet else self.auth.clock())
        issued = await self._issue(tx, request, login)
        await self.emit(tx, _signed_in(request, login, issued))
        return issued, user, added

    async def _issue(self, tx: AsyncConnection, request: Request, login: Login) -> Issued:
        """The credential, and the cookies that plugins send along."""
        found = await self.calls.each(self.auth, hookspecs.is_unfamiliar, tx=tx, request=request, login=login)
        login = replace(login, unfamiliar=any(found))
        owner = self._owner(login.carrier)
        issued = await self.calls.owner(
            owner, self.auth, hookspecs.issue_credential, tx=tx, request=request, login=login
        )
        brought = await self.calls.each(
            self.auth, hookspecs.cookies_for_login, tx=tx, request=request, login=login, issued=issued
        )
        return replace(issued, cookies=(*issued.cookies, *(cookie for its in brought for cookie in its)))

    def _owner(self, carrier: str) -> str:
        if carrier not in self.carriers:
            _log.error("no active plugin claims the carrier %s: switch one on", carrier)
            raise Unavailable
        return self.carriers[carrier]

    async def _lock(self, tx: AsyncConnection, login: Login) -> User:
        user = await self.users.lock(tx, login.user.id)
        if user is not None and user.status == "active" and user.security_version == login.user.security_version:
            return user
        if login.pending is not None:
            raise LoginExpired
        if user is not None and user.status != "active" and not login.guessable:
            raise AccountDisabled
        raise InvalidCredentials

    async def _owed(
        self, tx: AsyncConnection, request: Request, login: Login
    ) -> tuple[list[Challenge], list[Challenge]]:
        """What is owed, of what was not met."""
        demanded = await self.calls.each(self.auth, hookspecs.challenges_for_login, tx=tx, request=request, login=login)
        union = dict.fromkeys(challenge for answer in demanded for challenge in answer)
        demanded_kinds = {challenge.kind for challenge in union if not challenge.alternative} - login.met
        unmet = [challenge for challenge in union if challenge.kind in demanded_kinds]
        # Whoever is signed in already proves all of it again: that this browser was spared something is no proof.
        if not unmet or login.replaces is not None:
            return unmet, unmet
        lifted = await self.calls.each(self.auth, hookspecs.waivers_for_login, tx=tx, request=request, login=login)
        waived = {kind for answer in lifted for kind in answer}
        fixed = {challenge.kind for challenge in unmet if not challenge.waivable}
        return [challenge for challenge in unmet if challenge.kind in fixed or challenge.kind not in waived], unmet

    async def _challenge(
        self, tx: AsyncConnection, request: Request, login: Login, owed: list[Challenge], added: Mapping[str, Any]
    ) -> Challenged:
        kinds = list(dict.fromkeys(challenge.kind for challenge in owed))
        token, expires_at = await self.pendings.create(tx, replace(login, owed=frozenset(kinds)), LOGIN_LIFETIME)
        right = _tries(request, login)[-1:]
        await self.emit(tx, SignInChallenged(user_id=login.user.id, metadata={"kinds": kinds}, attempts=right))
        for kind in set(kinds) - {one.kind for one in owed if one.method is not None}:
            _log.error("no active plugin offers a way to meet %s: switch one on", kind)
        return Challenged(token, LOGIN_COOKIE, tuple(owed), expires_at, LOGIN_LIFETIME, added)

    async def pending(self, request: Request) -> Login:
        """The sign-in that waits for another proof; see `Auth.pending`."""
        notes = exchange.of(request)
        if notes.pending is None:
            login = await self._find_pending(request)
            if notes.attempts:  # by an attempt that began before it was known
                await self._count_factor(notes.attempts[-1], login)
                await self._count_try(login)
            notes.pending = login
        return notes.pending

    async def _find_pending(self, request: Request) -> Login:
        token = (await read_mapping(request)).get(LOGIN_FIELD)
        if token is None:
            token = self.auth.cookie(request, LOGIN_COOKIE)
        if not isinstance(token, str):
            raise LoginExpired
        async with self.db.connect() as tx:
            login = await self.pendings.find(tx, token, LOGIN_TRIES)
        if login is None:
            raise LoginExpired
        return login

    # Renew, sign out, revoke

    async def renew(
        self,
        request: Request,
        change: Change,
        *,
        page: str | None = None,
        status: int = 200,
        next: str | None = None,
    ) -> Response:
        """Make a change and go on under a new secret; see `Auth.renew`."""
        issued, members = await self.db.transaction(partial(self._renew, request=request, change=change))
        request.scope["sigra.identity"] = _moved(_session(request), issued)
        shown = await self.auth.show(request, page, members, status) if members and page is not None else None
        return renewed(request, self.auth.settings, issued, shown, next)

    async def resume(self, request: Request, session_id: uuid.UUID) -> Identity | None:
        """Go on as a session; see `Auth.resume`."""
        async with self.db.connect() as tx:
            identity = await self._alive(tx, session_id)
        if identity is not None:
            exchange.of(request).identity = identity
            request.scope.update({"sigra.identity": identity, "sigra.user": identity.user})
        return identity

    async def _renew(
        self, tx: AsyncConnection, request: Request, change: Change
    ) -> tuple[list[Issued], Mapping[str, Any]]:
        identity = _session(request)
        members = _members(await change(tx, await self._present(tx, identity)))
        issued = await self.calls.each(self.auth, hookspecs.renew_session, tx=tx, request=request, identity=identity)
        if not issued:
            raise Unauthenticated
        return issued, members

    async def present(self, tx: AsyncConnection, request: Request) -> User:
        """Whoever asks, locked, as long as their session lives; see `Auth.present`."""
        identity = _session(request)
        user = await self._present(tx, identity)
        if identity.session_id is None or await self._alive(tx, identity.session_id) is None:
            raise Unauthenticated
        return user

    async def _alive(self, tx: AsyncConnection, session_id: uuid.UUID) -> Identity | None:
        return await self.calls.first(self.auth, hookspecs.identity_of_session, tx=tx, session_id=session_id)

    async def _present(self, tx: AsyncConnection, identity: Identity) -> User:
        """Whoever asks, locked, as long as nothing has ended what the session stands for."""
        user = await self.users.lock(tx, identity.user.id)
        if user is None or user.status != "active" or user.security_version != identity.user.security_version:
            raise Unauthenticated
        return user

    async def sign_out(self, request: Request, change: Change | None = None) -> Response:
        """End the present session; see `Auth.sign_out`."""
        identity: Identity | None = request.scope["sigra.identity"]
        if change is not None:
            identity = _session(request)
        if identity is not None and identity.session_id is not None:
            await self.db.transaction(partial(self._end, request=request, identity=identity, change=change))
        return signed_out(request, self.auth.settings, drop=(*self.cookies, LOGIN_COOKIE))

    async def _end(self, tx: AsyncConnection, request: Request, identity: Identity, change: Change | None) -> None:
        if change is not None:
            await change(tx, await self.present(tx, request))
        await self.act(tx, SignOut(user=identity.user, request=request))
        await self.calls.each(self.auth, hookspecs.revoke_session, tx=tx, identity=identity)
        await self.emit(tx, SignedOut(user_id=identity.user.id))

    async def revoke(self, tx: AsyncConnection, user: User, reason: str, keep: uuid.UUID | None = None) -> None:
        """End all that was issued to a user, and every proof given before; see `Auth.revoke`."""
        await self.users.lock(tx, user.id)
        await self.users.bump_security_version(tx, user)
        await self.pendings.end(tx, user.id)
        await self.calls.each(self.auth, hookspecs.revoke_credentials, tx=tx, user=user, reason=reason, keep=keep)
        await self.emit(tx, CredentialsRevoked(user_id=user.id, metadata={"reason": reason}))

    async def forget(self, tx: AsyncConnection, user: User, reason: str) -> None:
        """End all that was issued to a user, and all that could issue more; see `Auth.forget`."""
        await self.revoke(tx, user, reason)
        await self.calls.each(self.auth, hookspecs.forget_authenticators, tx=tx, user=user, reason=reason)

    async def prove_email(self, tx: AsyncConnection, user: User, *, same_person: bool) -> User:
        """Note that the address is proven; see `Auth.prove_email`."""
        locked = await self.users.lock(tx, user.id)
        if locked is None or locked.email_verified:
            return locked or user
        if not same_person:
            await self.forget(tx, locked, "first_proof")
        await self.users.verify(tx, locked)
        await self.emit(tx, EmailVerified(user_id=user.id, metadata={"same_person": same_person}))
        return await self.users.by_id(user.id, tx) or locked

    # Actions and events

    async def act(self, tx: AsyncConnection, action: Action) -> None:
        """Ask whether the action may be done."""
        await self.calls.each(self.auth, hookspecs.before_action, tx=tx, action=action)

    async def emit(self, tx: AsyncConnection, event: Event) -> None:
        """Record a fact in its transaction, and tell it after commit and answer."""
        notes = exchange.current.get()
        event = _completed(event, self.auth.clock(), notes)
        await self.calls.each(self.auth, hookspecs.record_event, tx=tx, event=event)
        later = notes.tell if notes is not None and not notes.is_websocket else self.spawn
        self.db.after_commit(tx, partial(later, event))


def _canonical(email: str | None) -> str | None:
    """The address that is counted; None for text that no account can have."""
    if email is None:
        return None
    try:
        return canonical_email(email)
    except ValueError:
        return None


def _guessed(attempt: Attempt) -> str | None:
    """At whose account it is a guess.

    What a lock turns down is counted apart, after the same work: it uses up no try, so that whoever ends the lock has
    some left.
    """
    if not attempt.guessable or attempt.subject is None:
        return None
    return f"blocked {attempt.subject}" if attempt.blocked else attempt.subject


def _covers(attempt: Attempt, user: User) -> bool:
    """Whether the attempt was asked about this account, so that its lock was seen."""
    if attempt.user is not None:
        return attempt.user.id == user.id
    return attempt.email is not None and attempt.email == _canonical(user.email)


def _members(said: object) -> Mapping[str, Any]:
    """What a change adds to the answer."""
    return said if isinstance(said, Mapping) else {}


def _signed_in(request: Request, login: Login, issued: Issued) -> SignedIn:
    metadata = {"carrier": login.carrier, "amr": list(login.amr), "assurance": login.assurance}
    its, who = _tries(request, login), login.user.id
    fact = SignedIn(user_id=who, actor_id=who, session_id=issued.session_id, metadata=metadata)
    return replace(fact, attempts=its, login=login)


def _tries(request: Request, login: Login) -> tuple[Attempt, ...]:
    """The request's tries at the account, the last of which was right."""
    return tuple(attempt for attempt in exchange.of(request).attempts if _covers(attempt, login.user))


def _renewal(request: Request, login: Login) -> Login:
    """A sign-in of whoever is signed in already renews that session; of another, it is refused."""
    identity: Identity | None = request.scope["sigra.identity"]
    if identity is None or identity.session_id is None:
        return login
    if identity.user.id != login.user.id:
        raise OtherAccount
    return replace(login, replaces=identity.session_id)


def _session(request: Request) -> Identity:
    """Whoever asks, by a session."""
    identity: Identity | None = request.scope["sigra.identity"]
    if identity is None:
        raise Unauthenticated
    if identity.session_id is None:
        raise SessionRequired
    return identity


def _moved(identity: Identity, issued: Sequence[Issued]) -> Identity:
    """Whoever asks, as of a renewal: a page that is the answer shows the present session as such."""
    ids = [one.session_id for one in issued if one.session_id is not None]
    return replace(identity, session_id=ids[0]) if ids else identity


def _completed(event: Event, now: datetime, notes: exchange.Exchange | None) -> Event:
    event = replace(event, occurred_at=now)
    if notes is None:
        return event
    identity = notes.identity
    actor = identity and (identity.acting or identity.user)
    return replace(
        event,
        actor_id=event.actor_id or (actor.id if actor else None),
        session_id=event.session_id or (identity.session_id if identity else None),
        client=notes.client,
        user_agent=notes.user_agent,
        request_id=notes.request_id,
    )

"""What follows from an answer: who signs in, whose account is made or linked, and what is still to be proven.

Accounts are never joined by an address: whoever holds an account of a provider is shown to hold ours by a proof of ours
alone. Everything ends in `auth.sign_in` or `auth.renew`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import (
    AccountDisabled,
    Auth,
    Conflict,
    FieldError,
    Identity,
    Login,
    MailRequest,
    Message,
    OtherAccount,
    StartSignUp,
    Unauthenticated,
    User,
    ValidationFailed,
    canonical_email,
    timestamp,
)
from sigra.answers import Challenged
from sigra_oauth.attempts import ACCOUNT, ADDRESS, MAIL, Attempt, Attempts
from sigra_oauth.errors import OAuthExpired, OAuthSignUpClosed
from sigra_oauth.grants import Grants
from sigra_oauth.identities import METHOD, Identities, LinkedIdentity
from sigra_oauth.provider import Answer, Provider
from sigra_oauth.tokens import KeptTokens

FEDERATED = "fed"
"""What an answer stands for among a session's `amr`; RFC 8176 has no word. It is no factor, and raises no level."""

PURPOSE = "oauth"
"""Of the mail requests."""

LINK_PAGE, ADDRESS_PAGE, MAIL_PAGE = "oauth/link", "oauth/address", "email/verify"


@dataclass(frozen=True)
class Settling:
    """Ends attempts."""

    auth: Auth
    attempts: Attempts
    identities: Identities
    grants: Grants
    tokens: KeptTokens

    async def settle(self, request: Request, attempt: Attempt, provider: Provider, answer: Answer) -> Response:
        """The answer to a callback whose proof holds.

        Raises:
            OAuthExpired: The session that began it has ended.
            OtherAccount: It is of another account than who is signed in.
            IdentityTaken: It is linked to another account.
            OAuthSignUpClosed: It has no account, and none is made.
        """
        resumed = await self._resumed(request, attempt)
        if attempt.intent != "login" and (resumed is None or resumed.user.id != attempt.user_id):
            raise OAuthExpired
        if attempt.intent == "link":
            return await self._link(request, attempt, provider, answer)
        identity = await self._known(answer)
        if identity is not None:
            return await self._sign_in(request, attempt, provider, answer, identity)
        if resumed is not None:
            raise OtherAccount
        try:
            return await self._meet(request, attempt, provider, answer)
        except (Conflict, OAuthExpired) as late:
            # Somebody else was first: of two tabs both sign in.
            identity = await self._known(answer)
            if identity is not None:
                return await self._sign_in(request, attempt, provider, answer, identity, ended=True)
            if isinstance(late, OAuthExpired):
                raise
            return await self._meet(request, attempt, provider, answer)  # the address has an account now

    async def _resumed(self, request: Request, attempt: Attempt) -> Identity | None:
        """Who is signed in where it began; another tab may have given that session a new id meanwhile."""
        session_id = None if attempt.session_id is None else await self.attempts.session_of(self.auth, attempt)
        return None if session_id is None else await self.auth.resume(request, session_id)

    async def _known(self, answer: Answer) -> LinkedIdentity | None:
        async with self.auth.db.connect() as tx:
            return await self.identities.find(tx, answer.claims)

    # Known

    async def _sign_in(
        self,
        request: Request,
        attempt: Attempt,
        provider: Provider,
        answer: Answer,
        identity: LinkedIdentity,
        *,
        ended: bool = False,
    ) -> Response:
        """Sign in the account that it is linked to.

        Args:
            ended: Whether the attempt has had its effect already.
        """
        user = await self.auth.users.by_id(identity.user_id)
        if user is None:
            raise OAuthExpired
        login = self._login(attempt, user, (FEDERATED,), METHOD)
        use = partial(self._use, attempt, provider, answer, identity, ended)
        return await self.auth.sign_in(request, login, use)

    def _login(self, attempt: Attempt, user: User, amr: tuple[str, ...], method: str) -> Login:
        return Login(
            user,
            amr,
            methods=(method,),
            guessable=False,
            next=attempt.next,
            remember=attempt.remember,
            reference=reference(attempt.id),
        )

    async def _use(
        self,
        attempt: Attempt,
        provider: Provider,
        answer: Answer,
        identity: LinkedIdentity,
        ended: bool,
        tx: AsyncConnection,
        _: User,
    ) -> None:
        if ended:
            await self.attempts.discard(tx, attempt)
        else:
            await self.attempts.finish(tx, attempt)
        if not await self.identities.used(self.auth, tx, identity, provider.name, answer.claims):
            raise OAuthExpired
        await self._keep(tx, attempt, provider, answer, identity)

    async def _keep(
        self, tx: AsyncConnection, attempt: Attempt, provider: Provider, answer: Answer, identity: LinkedIdentity
    ) -> None:
        await self.grants.keep(self.auth, tx, attempt.id, identity, answer, attempt.begun_at)
        if provider.keeps_tokens:
            await self.tokens.keep(self.auth, tx, identity, answer.tokens)

    # Unknown

    async def _meet(self, request: Request, attempt: Attempt, provider: Provider, answer: Answer) -> Response:
        """Somebody who was never here, or not by this."""
        address = answer.claims.email
        if address is None or not _is_address(address):
            return await self._wait(request, attempt, provider, answer, ADDRESS)
        if not answer.claims.email_verified:
            return await self.propose(request, attempt, provider, answer, address)
        user = await self.auth.users.by_email(address)
        if user is not None and user.email_verified:
            if await self._known(answer) is not None:
                raise Conflict  # another tab has made it just now
            return await self._wait(request, attempt, provider, answer, ACCOUNT, user)
        if user is None:
            await self._open(request, provider)
        made = await self.auth.db.transaction(partial(self._make, request, attempt, provider, answer))
        return await self.auth.sign_in(request, self._login(attempt, made, (FEDERATED,), METHOD))

    async def _open(self, request: Request, provider: Provider) -> None:
        if not provider.sign_up:
            raise OAuthSignUpClosed
        await self.auth.limit(request, "sign_up")

    async def _make(
        self, request: Request, attempt: Attempt, provider: Provider, answer: Answer, tx: AsyncConnection
    ) -> User:
        """The account of an address that is proven by this; whatever was set before it was proven dies."""
        claims, users = answer.claims, self.auth.users
        assert claims.email is not None
        await self.attempts.finish(tx, attempt)
        user = await users.by_email(claims.email, tx)
        if user is None:
            if not provider.sign_up:
                raise OAuthSignUpClosed  # it was there a moment ago
            future = User(uuid.uuid4(), claims.email, name=claims.name)
            await self.auth.act(tx, StartSignUp(user=future, request=request))
            user = await users.create(tx, email=claims.email, name=claims.name)
            proven = await self.auth.prove_email(tx, user, same_person=True)
        else:
            locked = await users.lock(tx, user.id)
            if locked is None or locked.email_verified:
                raise Conflict
            if locked.status != "active":
                raise AccountDisabled
            proven = await self.auth.prove_email(tx, locked, same_person=False)
            if proven.email != claims.email:
                # Of an address, one spelling is proven: another may be another mailbox.
                await users.move(tx, proven, claims.email)
        await self._add(tx, request, attempt, provider, answer, proven)
        return await users.by_id(proven.id, tx) or proven

    async def _add(
        self,
        tx: AsyncConnection,
        request: Request | None,
        attempt: Attempt,
        provider: Provider,
        answer: Answer,
        user: User,
        *,
        tell: bool = False,
    ) -> None:
        """Link it to an account, which is locked.

        Raises:
            IdentityTaken: It is linked to another account.
        """
        identity = await self.identities.add(self.auth, tx, user, provider.name, answer.claims)
        await self.auth.authenticators.added(tx, user, identity.described(provider.label), request, tell=False)
        await self._keep(tx, attempt, provider, answer, identity)
        if tell and user.email is not None:
            await self.auth.send(tx, Message("identity_linked", user.email, user, {"provider": provider.label}))

    # An address that is not proven

    async def propose(
        self, request: Request, attempt: Attempt, provider: Provider, answer: Answer, address: str
    ) -> Response:
        """Have an address proven by mail; nobody is told whether it has an account."""
        if not _is_address(address):
            raise ValidationFailed([FieldError("email", "invalid_email", "This is not an e-mail address.")])
        await self._open(request, provider)
        await self.auth.limit(request, "mail", recipient=address)
        waiting = await self.auth.db.transaction(partial(self._propose, request, attempt, answer, address))
        return await self._told(request, waiting, provider, "email_verification", ["email"], MAIL_PAGE)

    async def _propose(
        self, request: Request, attempt: Attempt, answer: Answer, address: str, tx: AsyncConnection
    ) -> Attempt:
        """No account yet: a row that anybody can have made of any address would be in its owner's way."""
        future = User(uuid.uuid4(), address, name=answer.claims.name)
        await self.auth.act(tx, StartSignUp(user=future, request=request))
        await self.auth.request_mail(tx, MailRequest(PURPOSE, address))
        return await self.attempts.keep(self.auth, tx, attempt, MAIL, answer, None, address)

    async def prove(
        self, tx: AsyncConnection, request: Request, attempt: Attempt, provider: Provider, answer: Answer, address: str
    ) -> User:
        """The account of an address that is proven now, for who waited for that.

        Raises:
            IdentityTaken: It was linked to another account meanwhile.
            OAuthExpired: The attempt has ended.
            OAuthSignUpClosed: No accounts are made any more.
        """
        await self.attempts.finish(tx, attempt)
        if not provider.sign_up:
            raise OAuthSignUpClosed  # it was not when they came
        future = User(uuid.uuid4(), address, name=answer.claims.name)
        await self.auth.act(tx, StartSignUp(user=future, request=request))
        user = await self.auth.users.create(tx, email=address, name=answer.claims.name)
        await self._add(tx, request, attempt, provider, answer, user)
        return user

    # What waits

    async def _wait(
        self,
        request: Request,
        attempt: Attempt,
        provider: Provider,
        answer: Answer,
        waits_for: str,
        user: User | None = None,
    ) -> Response:
        keep = partial(
            self.attempts.keep,
            self.auth,
            attempt=attempt,
            waits_for=waits_for,
            answer=answer,
            user_id=None if user is None else user.id,
        )
        waiting = await self.auth.db.transaction(keep)
        if waits_for == ADDRESS:
            return await self._told(request, waiting, provider, "email_verification", ["oauth"], ADDRESS_PAGE)
        return await self._told(request, waiting, provider, "link", ["password"], LINK_PAGE)

    async def _told(
        self, request: Request, attempt: Attempt, provider: Provider, kind: str, methods: list[str], page: str
    ) -> Response:
        body: Challenged = {
            "status": "challenge",
            "login_token": attempt.secret,
            "challenges": [{"kind": kind, "methods": methods}],
            "expires_at": timestamp(attempt.expires_at),
        }
        response = await self.auth.show(request, page, body, 202, then=f"/{page}")
        self.attempts.hold(self.auth, request, response, attempt, provider)
        return response

    # Linking

    async def _link(self, request: Request, attempt: Attempt, provider: Provider, answer: Answer) -> Response:
        """Link it to who is signed in, who has asked for that."""
        link = partial(self.link_in, request, attempt, provider, answer)
        home = f"{self.auth.settings.mount_path}/account?done=identity.linked#identities"
        try:
            return await self.auth.renew(request, link, next=attempt.next or home)
        except Unauthenticated:
            if await self._resumed(request, attempt) is None:
                raise OAuthExpired from None
            return await self.auth.renew(request, link, next=attempt.next or home)  # another tab was faster

    async def link_in(
        self,
        request: Request | None,
        attempt: Attempt,
        provider: Provider,
        answer: Answer,
        tx: AsyncConnection,
        user: User,
    ) -> None:
        """Link an answer to a user, who is locked, and end its attempt.

        Raises:
            IdentityTaken: It is linked to another account.
            OAuthExpired: The attempt has ended.
        """
        await self.attempts.finish(tx, attempt)
        present = await self.identities.find(tx, answer.claims)
        if present is None or present.user_id != user.id:
            await self._add(tx, request, attempt, provider, answer, user, tell=True)
            return
        await self.identities.used(self.auth, tx, present, provider.name, answer.claims)
        await self._keep(tx, attempt, provider, answer, present)


def reference(id: uuid.UUID) -> str:
    """How a sign-in names the attempt that it came of."""
    return f"{METHOD}:{id}"


def referred(text: str | None) -> uuid.UUID | None:
    """The attempt that a sign-in came of; None when it came of something else."""
    if text is None or not text.startswith(f"{METHOD}:"):
        return None
    return uuid.UUID(text.removeprefix(f"{METHOD}:"))


def _is_address(text: str) -> bool:
    try:
        canonical_email(text)
    except ValueError:
        return False
    return True

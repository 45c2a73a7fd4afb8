"""What an answered attempt waits for, given: the proof of an account, or an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import (
    Auth,
    Conflict,
    FieldError,
    Identity,
    Login,
    LoginExpired,
    OtherAccount,
    SignedIn,
    User,
    ValidationFailed,
    canonical_email,
    confirmation,
    hookspecs,
    requires,
)
from sigra_oauth.attempts import ACCOUNT, ADDRESS, MAIL, Attempt, Attempts
from sigra_oauth.errors import OAuthExpired
from sigra_oauth.identities import METHOD
from sigra_oauth.provider import Answer, Provider
from sigra_oauth.settling import ADDRESS_PAGE, FEDERATED, LINK_PAGE, Settling, reference, referred
from sigra_oauth.shapes import Address, Proof

NO_ADDRESS = (ADDRESS, MAIL)
"""What waits where an address is to be proven yet, and may be another one."""


@dataclass(frozen=True)
class Linking:
    """The routes and pages of what waits."""

    auth: Auth
    providers: Mapping[str, Provider]
    attempts: Attempts
    settling: Settling

    # The proof of an account

    async def waiting(self, request: Request, waits_for: Sequence[str], presented: str | None = None) -> Attempt:
        """The newest attempt of this browser that waits for one of these.

        Args:
            presented: Its secret, in place of a cookie.

        Raises:
            OAuthExpired: None does.
        """
        found = await self.attempts.waiting(self.auth, request, waits_for, presented)
        if not found:
            raise OAuthExpired
        return found[0]

    async def prove(self, request: Request) -> Response:
        """POST /oauth/link: the account of the address is one's own; by its password, or by being signed in to it."""
        body = await self.auth.read(request, Proof)
        attempt = await self.waiting(request, [ACCOUNT], body.login_token)
        identity: Identity | None = request.scope["sigra.identity"]
        if identity is not None and identity.user.id != attempt.user_id:
            raise OtherAccount
        if identity is not None:
            await requires(fresh=True)(request)
            response = await self.auth.renew(request, partial(self._link, request, attempt), next=attempt.next)
        else:
            response = await self._by_password(request, attempt, body.password)
        return self.attempts.dropped(self.auth, response, attempt)

    async def _by_password(self, request: Request, attempt: Attempt, password: str | None) -> Response:
        if password is None:
            raise ValidationFailed([FieldError("password", "missing", "This field is required.")])
        assert attempt.user_id is not None
        user = await self.auth.users.by_id(attempt.user_id)
        if user is None:
            raise OAuthExpired
        async with self.auth.attempt(request, method="password", user=user) as its:
            if not await self.auth.first(hookspecs.prove_password, attempt=its, user=user, password=password):
                raise Conflict("No passwords are used here. Sign in as you did, then come back.")
            # It is linked when the sign-in is complete, whatever else that asks for: `finish`.
            login = Login(
                user,
                ("pwd", FEDERATED),
                methods=("password", METHOD),
                next=attempt.next,
                remember=attempt.remember,
                reference=reference(attempt.id),
            )
            return await self.auth.sign_in(request, login)

    async def _link(self, request: Request | None, attempt: Attempt, tx: AsyncConnection, user: User) -> None:
        provider, answer = self._answered(attempt)
        await self.settling.link_in(request, attempt, provider, answer, tx, user)

    def _answered(self, attempt: Attempt) -> tuple[Provider, Answer]:
        """Who has said what.

        Raises:
            OAuthExpired: The provider is configured no more.
        """
        provider = self.providers.get(attempt.provider)
        if provider is None or attempt.answer is None:
            raise OAuthExpired
        return provider, attempt.answer

    async def finish(self, tx: AsyncConnection, event: SignedIn) -> None:
        """A sign-in is complete: link what waited for it, and note which session the provider's answer led to.

        Raises:
            LoginExpired: The provider has ended meanwhile what it began with.
        """
        id = None if event.login is None else referred(event.login.reference)
        if id is None or event.login is None or event.user_id is None:
            return
        attempt = await self.attempts.by_id(self.auth, tx, id)
        if attempt is not None and attempt.waits_for == ACCOUNT and attempt.user_id == event.user_id:
            await self._link(None, attempt, tx, event.login.user)
        if not await self.settling.grants.bind(self.auth, tx, id, event.session_id):
            raise LoginExpired

    # An address

    async def give(self, request: Request) -> Response:
        """POST /oauth/address: an address where the provider told none, or in place of one that is not proven."""
        body = await self.auth.read(request, Address)
        attempt = await self.waiting(request, NO_ADDRESS, body.login_token)
        provider, answer = self._answered(attempt)
        return await self.settling.propose(request, attempt, provider, answer, body.email.strip())

    async def account_for(
        self, tx: AsyncConnection, request: Request, address: str, login_token: str | None
    ) -> User | None:
        """The account of an address that is proven now, where this browser waits for that; None where it does not."""
        waiting = await self.attempts.waiting(self.auth, request, [MAIL], None, tx)
        if login_token is not None:
            waiting += await self.attempts.waiting(self.auth, request, [MAIL], login_token, tx)
        canonical = canonical_email(address)
        mine = next((one for one in waiting if one.address and canonical_email(one.address) == canonical), None)
        if mine is None:
            return None
        return await self.settling.prove(tx, request, mine, *self._answered(mine), address)

    async def onward(self, request: Request) -> str | None:
        """Where somebody wanted to go who waits for a mail here."""
        waiting = await self.attempts.waiting(self.auth, request, [MAIL])
        return waiting[0].next if waiting else None

    # Pages

    async def show_link(self, request: Request) -> Response:
        """GET /oauth/link: the page on which somebody proves that an account is theirs."""
        return await self.page(request, LINK_PAGE, {"error": None}, 200)

    async def show_address(self, request: Request) -> Response:
        """GET /oauth/address: the page that asks for an address."""
        return await self.page(request, ADDRESS_PAGE, {"error": None}, 200)

    async def page(self, request: Request, page: str, context: Mapping[str, object], status: int) -> Response:
        """Either of them, for what waits.

        Raises:
            OAuthExpired: Nothing does.
        """
        attempt = await self.waiting(request, [ACCOUNT] if page == LINK_PAGE else NO_ADDRESS)
        provider, answer = self._answered(attempt)
        user: User | None = request.scope["sigra.user"]
        own = user is not None and user.id == attempt.user_id
        its = {
            "posted": page,
            "label": provider.label,
            "address": answer.claims.email,
            "own": own,
            "other": None if user is None or own else user.email or user.name or user.id,
            "is_asked": attempt.waits_for == ADDRESS,
            "confirm": self._confirmation(request),
        }
        return await self.auth.render(request, f"{page}.html", {**its, **context}, status, page=page)

    def _confirmation(self, request: Request) -> str | None:
        """Where who is signed in proves it again, if that is needed, and comes back."""
        if confirmation(request, "") is None:
            return None
        here = f"{self.auth.settings.mount_path}/{LINK_PAGE}"
        return f"{self.auth.url_for('reauthenticate')}?next={quote(here, safe='')}"

"""Proof of an address: who holds a mailed secret reads its mailbox, and who that is decides what stays.

Until then an address is a challenge of the seam, so that no way to sign in goes past it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import hookspecs
from sigra.addresses import canonical_email
from sigra.answers import DONE, HTML, SIGN_IN, Problem
from sigra.errors import AddressAlone, Conflict, InvalidCredentials, InvalidToken
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.messages import MailRequest, Message, Mint
from sigra.models import ADDRESS_PROVEN, Challenge, Cookie, HeldToken, Login, Part, User
from sigra.plugins.email_verification.holder import Holder, find_holder, signing_up
from sigra.plugins.email_verification.shapes import Again, Proof, Sent
from sigra.plugins.pages import Pages
from sigra.plugins.password import Password
from sigra.plugins.signup import COOKIE, PendingSignUp, SignUp
from sigra.plugins.signup.shapes import folded, typed
from sigra.protocols import Auth

PURPOSE = "email_verification"
"""Of the tokens and of the mail requests."""

PAGE, AGAIN = "email/verify", "email/verify/resend"
ROUTE = "email_verify"


class EmailVerification:
    """Proves addresses, and demands that they are."""

    name = PURPOSE
    api = 1

    class Settings(BaseModel):
        """How long a mail is good.

        Args:
            lifetime: Of its link and code; at least an hour.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        lifetime: timedelta = Field(default=timedelta(hours=24), ge=timedelta(hours=1))

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        prove = {200: HTML, 401: Problem, **DONE, **{status: SIGN_IN[status] for status in (202, 409)}}
        again = {202: Sent, 303: None}
        routes = [
            Route(f"/{PAGE}", partial(self.verify, auth), methods=["POST"], name=ROUTE, body=Proof, answers=prove),
            Route(f"/{AGAIN}", partial(self.resend, auth), methods=["POST"], body=Again, answers=again),
        ]
        if auth.has(Pages):
            routes.append(Route(f"/{PAGE}", partial(self.show, auth), answers={200: HTML}))
        return routes

    # The mail

    async def resend(self, auth: Auth, request: Request) -> Response:
        """POST /email/verify/resend: another mail, if there is something to prove; nobody is told whether there is."""
        body = await auth.read(request, Again)
        await auth.limit(request, "mail", recipient=body.email)
        asked = MailRequest(PURPOSE, typed(body.email))
        await auth.db.transaction(partial(auth.request_mail, request=asked))
        sent: Sent = {"status": "sent"}
        return await auth.show(request, PAGE, sent, 202, then=f"/{PAGE}")

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose != PURPOSE:
            return
        user = await auth.users.by_email(request.address, tx)
        recipient = await self._recipient(auth, tx, user, request.address)
        if recipient is None:
            return
        # The token proves the address to which it goes, letter by letter: two spellings may be two mailboxes.
        mint = Mint(PURPOSE, ROUTE, self.settings.lifetime, {"email": recipient}, canonical_email(recipient), code=True)
        hours = round(self.settings.lifetime / timedelta(hours=1))
        await auth.send(tx, Message("verify_email", recipient, user, {"hours": hours}, mint, request.languages))

    async def _recipient(self, auth: Auth, tx: AsyncConnection, user: User | None, address: str) -> str | None:
        """The stored address that is to be proven, if it is not."""
        if user is not None:
            return None if user.email_verified or user.status != "active" else user.email
        return await auth.first(hookspecs.address_to_prove, tx=tx, address=address)

    # The challenge

    @hookimpl
    async def challenges_for_login(self, auth: Auth, tx: AsyncConnection, login: Login) -> Sequence[Challenge] | None:
        user, sign_up = login.user, signing_up(auth)
        if user.email is None or user.email_verified:
            return None
        if sign_up is not None and not sign_up.settings.require_verified:
            return None
        if not await auth.tokens.waits(tx, PURPOSE, canonical_email(user.email)):
            await auth.request_mail(tx, MailRequest(PURPOSE, user.email))
        return [Challenge("email_verification", "email", waivable=False)]

    # The proof

    async def verify(self, auth: Auth, request: Request) -> Response:
        """POST /email/verify: prove an address by a mailed token or code; signs nobody in.

        204; 202 with the challenge `enrollment` in the browser of a sign-up without a password.
        """
        body = await auth.read(request, Proof)
        held, holder = await self._shown(auth, request, body)
        if holder.loses and not body.without_password and _is_form(request) and auth.has(Pages):
            return await self._page(auth, request, {"error": None, "asks": body})
        if holder.enrolls:
            response = await self._enroll(auth, request, body, held, holder)
        else:
            await auth.db.transaction(partial(self._prove, auth, request, body, held, holder))
            response = Response(status_code=204)
        auth.set_cookie(response, Cookie(COOKIE, "", 0))
        return response

    async def _shown(self, auth: Auth, request: Request, body: Proof) -> tuple[HeldToken, Holder]:
        """What was presented, and who does."""
        try:
            async with auth.attempt(request, method=PURPOSE, email=body.email, guessable=False):
                held = await self._held(auth, body)
                return held, await find_holder(auth, request, body, held.payload["email"])
        except InvalidCredentials as wrong:
            if body.token is None and body.password is None:
                raise InvalidToken from wrong  # counted as a wrong proof, told as every bad token
            raise

    async def _held(self, auth: Auth, body: Proof) -> HeldToken:
        """What the token or code would give; the same work whether or not the address has one."""
        if body.token is not None:
            async with auth.db.connect() as tx:
                held = await auth.tokens.find(tx, PURPOSE, body.token)
        else:
            subject = folded(body.email or "") or ""
            await auth.db.transaction(partial(auth.tokens.count_code, purpose=PURPOSE, subject=subject))
            async with auth.db.connect() as tx:
                held = await auth.tokens.find_by_code(tx, PURPOSE, subject, body.code or "")
        if held is None:
            raise InvalidToken if body.token is not None else InvalidCredentials
        return held

    async def _enroll(self, auth: Auth, request: Request, body: Proof, held: HeldToken, holder: Holder) -> Response:
        """Prove the address, and go on to choose how to sign in."""
        # The account comes first, unproven and empty: what is cut off after it can be repeated with the same token.
        opened = partial(self._opened, auth, held, holder)
        try:
            user, sign_up = await auth.db.transaction(opened)
        except Conflict:
            user, sign_up = await auth.db.transaction(opened)  # the same was sent twice, and the other was first
        same_person = holder.same_person or sign_up.user_id == user.id
        holder = replace(holder, user=user, sign_up=sign_up, same_person=same_person)
        login = Login(user, ("email",), methods=(ADDRESS_PROVEN,), next=sign_up.next, guessable=False)
        prove = partial(self._prove, auth, request, body, held, holder)
        try:
            return await auth.sign_in(request, login, lambda tx, _: prove(tx))
        except InvalidCredentials as gone:
            raise InvalidToken from gone  # the same was sent twice, and the other was first
        except AddressAlone:
            await auth.db.transaction(prove)
            return Response(status_code=204)

    async def _opened(
        self, auth: Auth, held: HeldToken, holder: Holder, tx: AsyncConnection
    ) -> tuple[User, PendingSignUp]:
        """The account of the holder's sign-up, made where there is none, and the sign-up as of now."""
        address, plugin = held.payload["email"], auth.plugin(SignUp)
        assert holder.sign_up is not None
        sign_up = await plugin.pending.again(tx, holder.sign_up, auth.clock())
        if sign_up is None:
            raise InvalidToken
        user = await auth.users.by_email(address, tx)
        if user is not None:
            return user, sign_up
        made = await plugin.make(auth, tx, address, sign_up)
        await plugin.pending.made(tx, sign_up, made.id)
        return made, replace(sign_up, user_id=made.id)

    async def _prove(
        self, auth: Auth, request: Request, body: Proof, held: HeldToken, holder: Holder, tx: AsyncConnection
    ) -> None:
        """Spend the token and note what it proves, in one transaction."""
        address, plugin = held.payload["email"], signing_up(auth)
        user = await _locked(auth, tx, address)
        if user is not None and not user.email_verified and user.email != address:
            raise InvalidToken  # it went to another spelling of the address
        if not await auth.tokens.take(tx, held):
            raise InvalidToken
        await self._check(auth, tx, holder, user)
        if user is None:
            made = await self._made(auth, tx, request, body, address, holder)
            await auth.prove_email(tx, made, same_person=True)
        elif not user.email_verified:
            await self._keep(auth, tx, user, holder)
        if plugin is not None:
            await plugin.pending.end(tx, canonical_email(address))

    async def _check(self, auth: Auth, tx: AsyncConnection, holder: Holder, user: User | None) -> None:
        """What was found out before the transaction must still be so."""
        if holder.same_person and (user is None or user.security_version != _version(holder.user)):
            raise InvalidCredentials
        plugin = signing_up(auth)
        if holder.sign_up is None or (user is not None and user.email_verified):
            return
        if plugin is None or not await plugin.pending.again(tx, holder.sign_up, auth.clock()):
            raise InvalidToken

    async def _made(
        self, auth: Auth, tx: AsyncConnection, request: Request, body: Proof, address: str, holder: Holder
    ) -> User:
        """The account of who waits for the proof, or of a sign-up: what is set is the holder's, or nothing is."""
        if holder.sign_up is None:
            token = body.login_token
            made = await auth.first(
                hookspecs.account_for_address, tx=tx, request=request, address=address, login_token=token
            )
            if made is not None:
                return made
        plugin = signing_up(auth)
        if plugin is None or not await plugin.pending.newest(tx, canonical_email(address), auth.clock(), 1):
            raise InvalidToken  # accounts come of what waits for them alone
        return await plugin.make(auth, tx, address, holder.sign_up)

    async def _keep(self, auth: Auth, tx: AsyncConnection, user: User, holder: Holder) -> None:
        """The account that was there before: what is set is the holder's, or is forgotten."""
        proven = await auth.prove_email(tx, user, same_person=holder.same_person)
        if holder.same_person or holder.sign_up is None or holder.sign_up.password_hash is None:
            return
        await auth.plugin(Password).set(auth, tx, proven, holder.sign_up.password_hash)

    # Pages

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /email/verify: the form; nothing is proven by opening a page."""
        return await self._page(auth, request, {"error": None})

    async def _page(self, auth: Auth, request: Request, context: Mapping[str, object]) -> Response:
        response = await auth.first(hookspecs.render_page, request=request, page=PAGE, context=context, status=200)
        assert response is not None
        return response

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        if page == "login":
            return [Part("main", 10, "email_verification/done.html")]
        if page != "login/challenge":
            return None
        user = (await auth.pending(request)).user
        if user.email is None or user.email_verified:
            return None
        return [Part("main", 200, "email_verification/challenge.html", {"address": user.email})]

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page not in (PAGE, AGAIN) or not auth.has(Pages):
            return None
        sign_up = signing_up(auth)
        own = None if sign_up is None else await sign_up.of_browser(auth, request)
        onward = await auth.first(hookspecs.next_for_proof, request=request)
        given = {"posted": page, "asks": None, "own": own, "next": onward, **context}
        return await auth.render(request, "email_verification/verify.html", given, status, page=PAGE)


async def _locked(auth: Auth, tx: AsyncConnection, address: str) -> User | None:
    user = await auth.users.by_email(address, tx)
    return None if user is None else await auth.users.lock(tx, user.id)


def _version(user: User | None) -> int | None:
    return None if user is None else user.security_version


def _is_form(request: Request) -> bool:
    return "form" in request.headers.get("content-type", "")

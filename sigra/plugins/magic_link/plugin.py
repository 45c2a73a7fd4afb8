"""Magic links: sign in by a mail, in the browser that asked for it, by its link or by its code."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import MetaData, Table, delete
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from sigra.addresses import canonical_email
from sigra.answers import HTML, SIGN_IN
from sigra.errors import Conflict, FieldError, InvalidCredentials, InvalidToken, OtherAccount, ValidationFailed
from sigra.hookspecs import hookimpl, render_page
from sigra.http.routing import Route
from sigra.messages import MailRequest, Message, Mint
from sigra.models import Cookie, HeldToken, Job, Login, Part, User, timestamp
from sigra.plugins.magic_link.links import NEXT_LENGTH, Link, Links
from sigra.plugins.pages import Pages
from sigra.plugins.signup import SignUp
from sigra.protocols import Auth

PURPOSE = "magic_link"
"""Of the mail that is asked for, of the token in it, and the name of the route that takes it."""

BROWSER = "magic_link_browser"
"""The purpose of the secret that the asking browser keeps."""

COOKIE = "sigra-magic-link"

AMR = "email"
"""RFC 8176 has no value for a mailed link, and mail is no authenticator (NIST SP 800-63B, section 5.1.3.1): a word of
our own, which never raises the level."""

ASK, VERIFY = "magic-link", "magic-link/verify"

TEMPLATES: Mapping[str, str] = MappingProxyType({ASK: "magic_link/ask.html", VERIFY: "magic_link/verify.html"})

NOT_HERE = (
    "This link or code does not work here. It may be used or expired, or it was asked for in another browser: type "
    "the code of the mail where you asked for it."
)
"""The same for all of these."""


def _given(text: object) -> object:
    """A field of a form that was left empty is not given."""
    return None if text == "" else text


def _digits(text: object) -> object:
    """A code as people type it, in groups."""
    return (text.replace(" ", "").replace("-", "") or None) if isinstance(text, str) else text


class Wanted(BaseModel):
    """The body of a request for the mail."""

    email: Annotated[str, Field(max_length=254)]
    remember: bool = False
    next: Annotated[str | None, Field(max_length=NEXT_LENGTH)] = None


class Proof(BaseModel):
    """The body of a sign-in: the link's token or the mail's code, and what the asking browser got, unless by cookie."""

    token: Annotated[str | None, Field(max_length=512, repr=False), BeforeValidator(_given)] = None
    code: Annotated[str | None, Field(max_length=32, repr=False), BeforeValidator(_digits)] = None
    login_token: Annotated[str | None, Field(max_length=512, repr=False), BeforeValidator(_given)] = None


class Sent(TypedDict):
    """What is answered whether or not the address has an account; `login_token` belongs to who asked."""

    status: Literal["sent"]
    login_token: str


class MagicLink:
    """Signs in by mail."""

    name = "magic_link"
    api = 1

    class Settings(BaseModel):
        """How long a link may be used.

        Args:
            lifetime: From when it is asked for; at least a minute, at most an hour.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        lifetime: Annotated[timedelta, Field(ge=timedelta(minutes=1), le=timedelta(hours=1))] = timedelta(minutes=10)

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.links = Links(metadata)
        return [self.links.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [
            Route(f"/{ASK}", partial(self.ask, auth), methods=["POST"], body=Wanted, answers={202: Sent, 303: None}),
            Route(
                f"/{VERIFY}", partial(self.verify, auth), methods=["POST"], name=PURPOSE, body=Proof, answers=SIGN_IN
            ),
            *[
                Route(f"/{ASK}", partial(self.show_ask, auth), methods=["GET"], answers={200: HTML}),
                Route(f"/{VERIFY}", partial(self.show_verify, auth), methods=["GET"], answers={200: HTML}),
            ]
            * auth.has(Pages),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("magic_link.expired", timedelta(hours=1), partial(self._sweep, auth))]

    # The mail

    async def ask(self, auth: Auth, request: Request) -> Response:
        """POST /magic-link: ask for the mail; the same answer and work whether or not there is an account."""
        body = await auth.read(request, Wanted)
        await auth.limit(request, "mail", recipient=body.email)
        secret = auth.tokens.mint(BROWSER)
        link = Link(uuid.uuid4(), _canonical(body.email), body.remember, body.next or _wanted(request))
        await auth.db.transaction(partial(self._ask, auth, link, body.email, secret.digest))
        answer: Sent = {"status": "sent", "login_token": secret.text}
        response = await auth.show(request, VERIFY, answer, 202, then=f"/{VERIFY}")
        auth.set_cookie(response, Cookie(COOKIE, secret.text, int(self.settings.lifetime.total_seconds())))
        return response

    async def _ask(self, auth: Auth, link: Link, address: str, digest: bytes, tx: AsyncConnection) -> None:
        now = auth.clock()
        await self.links.add(tx, link, digest, now, now + self.settings.lifetime)
        await auth.request_mail(tx, MailRequest(PURPOSE, address, {"link": str(link.id)}))

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose != PURPOSE:
            return
        user = await auth.users.by_email(request.address, tx)
        recipient = await self._recipient(auth, tx, user, request.address)
        if recipient is None:
            return
        # Bound to all that ends proofs: what a password change or a reset ends, this link does not bring back.
        version = user.security_version if user else 0
        payload = {"link": request.context["link"], "email": recipient, "version": version}
        # By address, not by user: who only signed up is nobody yet.
        mint = Mint(PURPOSE, PURPOSE, self.settings.lifetime, payload, canonical_email(recipient), code=True)
        minutes = round(self.settings.lifetime / timedelta(minutes=1))
        await auth.send(tx, Message("magic_link", recipient, user, {"minutes": minutes}, mint, request.languages))

    async def _recipient(self, auth: Auth, tx: AsyncConnection, user: User | None, address: str) -> str | None:
        """The stored address that the mail goes to; None when nobody can be let in by it."""
        if user is not None:
            return user.email if user.status == "active" else None
        sign_up = _sign_up(auth)
        return None if sign_up is None else await sign_up.address_to_prove(auth, tx, address)

    # The sign-in

    async def verify(self, auth: Auth, request: Request) -> Response:
        """POST /magic-link/verify: sign in by the mail's link or code, where it was asked for; 202 for what is owed."""
        body = await auth.read(request, Proof)
        if body.token is None and body.code is None:
            raise ValidationFailed([FieldError("code", "missing", "Give the token or the code.")])
        try:
            response = await self._verify(auth, request, body)
        except InvalidCredentials as wrong:
            # Counted as a wrong proof, told as every bad token.
            raise InvalidToken(NOT_HERE) from wrong
        auth.set_cookie(response, Cookie(COOKIE, "", 0))
        return response

    async def _verify(self, auth: Auth, request: Request, body: Proof) -> Response:
        link = await self._link(auth, body.login_token or auth.cookie(request, COOKIE) or "")
        async with auth.attempt(request, method=PURPOSE, email=link and link.email, guessable=False):
            held = await self._held(auth, link, body)
            if link is None or held is None or held.payload["link"] != str(link.id):
                raise InvalidCredentials if body.token is None else InvalidToken(NOT_HERE)
            user = await self._user(auth, request, held)
            login = Login(user, (AMR,), methods=(PURPOSE,), remember=link.remember, next=link.next)
            if body.token is not None:
                login = replace(login, guessable=False)
            return await auth.sign_in(request, login, partial(self._spend, auth, held, link))

    async def _link(self, auth: Auth, secret: str) -> Link | None:
        """What the browser asked for, while it may still be used."""
        digests = auth.tokens.digests(BROWSER, secret)
        async with auth.db.connect() as tx:
            return await self.links.of_browser(tx, digests, auth.clock())

    async def _held(self, auth: Auth, link: Link | None, body: Proof) -> HeldToken | None:
        """The token, unspent, by itself or by its code: as many statements whether or not there is one."""
        subject = (link and link.email) or ""
        if body.token is None:
            await auth.db.transaction(partial(auth.tokens.count_code, purpose=PURPOSE, subject=subject))
        async with auth.db.connect() as tx:
            if body.token is not None:
                return await auth.tokens.find(tx, PURPOSE, body.token)
            return await auth.tokens.find_by_code(tx, PURPOSE, subject, body.code or "")

    async def _user(self, auth: Auth, request: Request, held: HeldToken) -> User:
        """Whom the mail lets in; an account is made for who only signed up, from nothing but the address."""
        find = partial(auth.users.by_email, held.payload["email"])
        user = await (find() if held.user_id is None else auth.users.by_id(held.user_id))
        if user is None and held.user_id is None:
            if request.scope["sigra.identity"] is not None:
                raise OtherAccount
            try:
                user = await auth.db.transaction(partial(self._admit, auth, held))
            except Conflict:
                user = await find()  # somebody was faster
        if user is None or (user.status == "active" and user.security_version != held.payload["version"]):
            raise InvalidToken(NOT_HERE)
        return user

    async def _admit(self, auth: Auth, held: HeldToken, tx: AsyncConnection) -> User | None:
        sign_up = _sign_up(auth)
        return None if sign_up is None else await sign_up.admit(auth, tx, held.payload["email"])

    async def _spend(self, auth: Auth, held: HeldToken, link: Link, tx: AsyncConnection, user: User) -> None:
        if user.email != held.payload["email"] or not await auth.tokens.take(tx, held):
            raise InvalidToken(NOT_HERE)
        await self.links.end(tx, link)
        await auth.prove_email(tx, user, same_person=False)

    # The user's data

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any]:
        async with auth.db.connect() as tx:
            times = await self.links.times(tx, user)
        return {"magic_link": [{"created_at": timestamp(made), "expires_at": timestamp(end)} for made, end in times]}

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        return {"magic links": (await tx.execute(delete(self.links.table))).rowcount}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await self.links.erase(tx, user)

    async def _sweep(self, auth: Auth) -> bool:
        return await auth.db.transaction(partial(self.links.sweep, now=auth.clock()))

    # Pages

    async def show_ask(self, auth: Auth, request: Request) -> Response:
        """GET /magic-link: the page that asks for the address."""
        return await _page(auth, request, ASK)

    async def show_verify(self, auth: Auth, request: Request) -> Response:
        """GET /magic-link/verify: the page of the mailed link, which changes nothing, and of its code."""
        return await _page(auth, request, VERIFY)

    @hookimpl
    async def parts_for_page(self, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page == "login" and user is None:
            return [Part("alternatives", 200, "magic_link/login.html")]
        if page == "reauthenticate" and user is not None and user.email is not None:
            return [Part("alternatives", 200, "magic_link/reauthenticate.html", {"next": _wanted(request)})]
        return None

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page not in TEMPLATES or not auth.has(Pages):
            return None
        given = {"posted": page, "next": _wanted(request), "asked": auth.cookie(request, COOKIE) is not None, **context}
        return await auth.render(request, TEMPLATES[page], given, status)


def _canonical(address: str) -> str | None:
    try:
        return canonical_email(address)
    except ValueError:
        return None


def _wanted(request: Request) -> str | None:
    """`next` of the page's address, when it is text that can be kept; whether it may be gone to, the seam decides."""
    target = request.query_params.get("next", "")
    return target if len(target) <= NEXT_LENGTH and target.isprintable() else None


async def _page(auth: Auth, request: Request, page: str) -> Response:
    response = await auth.first(render_page, request=request, page=page, context={"error": None}, status=200)
    assert response is not None
    return response


def _sign_up(auth: Auth) -> SignUp | None:
    try:
        return auth.plugin(SignUp)
    except LookupError:
        return None

"""Sign-up: one row and one request for a mail, whether or not the address has an account."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import MetaData, Table, delete
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import hookspecs
from sigra.addresses import canonical_email
from sigra.answers import HTML, Challenged
from sigra.errors import Conflict, FieldError, ValidationFailed
from sigra.events import Event, StartSignUp
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.messages import MailRequest, Message
from sigra.models import Cookie, Job, Part, User, timestamp
from sigra.plugins.pages import Pages
from sigra.plugins.password import Credentials, Password
from sigra.plugins.signup import fields
from sigra.plugins.signup.pending import NEXT_LENGTH, PendingSignUp, PendingSignUps
from sigra.plugins.signup.shapes import SignUpBody, SignUpStarted, folded, typed
from sigra.protocols import Auth

COOKIE = "sigra-signup"
PURPOSE = "signup"
"""Of the browser's secret, of the mail request, and of nothing else."""

PAGE = "signup"
CHECK_MAIL = "email/verify"
"""The page that goes on from here."""

BATCH = 1_000


@dataclass(frozen=True, kw_only=True)
class SignUpRequested(Event):
    """Somebody asked for an account; `metadata` has the canonical `email`."""

    name: ClassVar[str] = "signup.requested"


class SignUp:
    """Takes sign-ups, and keeps them apart from the accounts until the address is proven."""

    name = "signup"
    api = 1
    requires = ("email_verification",)
    events = (SignUpRequested,)

    class Settings(BaseModel):
        """What a sign-up is.

        Args:
            fields: The application's own fields, a pydantic model of columns that it added to `sigra_users`, by its
                import path: `app.users:SignUpFields`.
            lifetime: How long a sign-up waits for its address to be proven; at least an hour.
            require_verified: Nobody is signed in before the address is proven. Off, sign-up tells who has an account.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        fields: type[BaseModel] | None = None
        lifetime: timedelta = Field(default=timedelta(hours=24), ge=timedelta(hours=1))
        require_verified: bool = True

        @field_validator("fields", mode="before")
        @classmethod
        def _imported(cls, value: Any) -> Any:
            return fields.imported(value) if isinstance(value, str) else value

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)
        self._body = fields.joined(self.settings.fields, SignUpBody)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        if self.settings.fields is not None:
            fields.check(self.settings.fields, SignUpBody, metadata.tables["sigra_users"])
        self.pending = PendingSignUps(metadata)
        return [self.pending.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        path, answers = f"/{PAGE}", {202: SignUpStarted, 303: None}
        start = Route(path, partial(self.start, auth), methods=["POST"], body=self._body, answers=answers)
        show = Route(path, partial(self.show, auth), name=PAGE, answers={200: HTML})
        return [start, *[show] * auth.has(Pages)]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        return [Job("signup.expired", timedelta(hours=1), partial(self._sweep, auth))]

    # Asking for an account

    async def start(self, auth: Auth, request: Request) -> Response:
        """POST /signup: ask for an account; the same answer, work, rows and mails whether or not there is one."""
        body = await auth.read(request, self._body)
        future = User(uuid.uuid4(), typed(body.email), name=body.name)
        await auth.limit(request, "sign_up")
        await auth.limit(request, "mail", recipient=future.email)
        hash = await self._hash(auth, body.password, future)
        secret = auth.tokens.mint(PURPOSE)
        sign_up = self._pending(auth, future, hash, secret.digest, body.next or request.query_params.get("next"))
        sign_up = replace(sign_up, fields=fields.stored(self.settings.fields, body))
        await self._keep(auth, request, sign_up, future)
        started: SignUpStarted = {"status": "verification_sent", "signup_token": secret.text}
        response = await auth.show(request, CHECK_MAIL, started, 202, then=f"/{CHECK_MAIL}")
        auth.set_cookie(response, Cookie(COOKIE, secret.text, int(self.settings.lifetime.total_seconds())))
        return response

    async def _hash(self, auth: Auth, password: str | None, future: User) -> str | None:
        """Of the password that was chosen, if one was; outside of transactions."""
        if password is None or password == "":
            return None
        if not auth.has(Password):
            raise ValidationFailed([FieldError("password", "unused", "No passwords are used here.")])
        return await auth.plugin(Password).checked_hash(auth, password, future)

    def _pending(self, auth: Auth, future: User, hash: str | None, digest: bytes, next: str | None) -> PendingSignUp:
        assert future.email is not None
        now = auth.clock()
        return PendingSignUp(
            id=uuid.uuid4(),
            email=future.email,
            email_canonical=canonical_email(future.email),
            password_hash=hash,
            name=future.name,
            fields={},
            next=None if next is None or len(next) > NEXT_LENGTH else next,
            browser_digest=digest,
            user_id=None,
            created_at=now,
            expires_at=now + self.settings.lifetime,
        )

    async def _keep(self, auth: Auth, request: Request, sign_up: PendingSignUp, future: User) -> None:
        keep = partial(self._keep_in, auth, request, sign_up, future)
        if self.settings.require_verified:
            await auth.db.transaction(keep)
            return
        try:
            await auth.db.transaction(partial(keep, at_once=True))
        except Conflict:
            await auth.db.transaction(keep)  # somebody made the account at the same instant

    async def _keep_in(
        self,
        auth: Auth,
        request: Request,
        sign_up: PendingSignUp,
        future: User,
        tx: AsyncConnection,
        *,
        at_once: bool = False,
    ) -> None:
        await auth.act(tx, StartSignUp(user=future, request=request))
        if at_once and await auth.users.by_email(sign_up.email, tx) is None:
            made = await self.make(auth, tx, sign_up.email, sign_up)
            sign_up = replace(sign_up, user_id=made.id)
        await self.pending.add(tx, sign_up)
        await auth.request_mail(tx, MailRequest(PURPOSE, sign_up.email))
        await auth.emit(tx, SignUpRequested(metadata={"email": sign_up.email_canonical}))

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose != PURPOSE:
            return
        user = await auth.users.by_email(request.address, tx)
        if user is None or user.email is None or not user.email_verified:
            again = replace(request, purpose="email_verification", context={})
            await auth.each(hookspecs.answer_mail_request, tx=tx, request=again)
            return
        context = {"sign_in": f"{auth.settings.base_url}{auth.settings.mount_path}/login"}
        await auth.send(tx, Message("already_registered", user.email, user, context, languages=request.languages))

    @hookimpl(optionalhook=True)
    async def answer_without_account(self, auth: Auth, request: Request, credentials: Credentials) -> Response | None:
        own = await self.of_browser(auth, request, credentials.email, credentials.signup_token)
        if own is None or not await auth.hasher.verify(own.password_hash, credentials.password):
            return None
        waiting: Challenged = {
            "status": "challenge",
            "login_token": credentials.signup_token or auth.cookie(request, COOKIE) or "",
            "challenges": [{"kind": "email_verification", "methods": ["email"]}],
            "expires_at": timestamp(own.expires_at),
        }
        return await auth.show(request, CHECK_MAIL, waiting, 202, then=f"/{CHECK_MAIL}")

    # Becoming an account

    async def of_browser(
        self, auth: Auth, request: Request, email: str | None = None, *presented: str | None
    ) -> PendingSignUp | None:
        """The sign-up that waits in the browser that asks: by what is presented, else by its cookie.

        Args:
            email: Only when it waits for this address.
        """
        tokens = [token for token in presented if token] or [auth.cookie(request, COOKIE) or ""]
        digests = [digest for token in tokens for digest in auth.tokens.digests(PURPOSE, token)]
        canonical = None if email is None else folded(email)
        if not digests or (email is not None and canonical is None):
            return None
        async with auth.db.connect() as tx:
            return await self.pending.of_browser(tx, digests, auth.clock(), canonical)

    @hookimpl
    async def address_to_prove(self, auth: Auth, tx: AsyncConnection, address: str) -> str | None:
        """As one of the sign-ups that wait for it was typed: as it is asked for, else as the newest."""
        canonical = folded(address)
        if canonical is None:
            return None
        found = [one.email for one in await self.pending.newest(tx, canonical, auth.clock(), BATCH)]
        return address.strip(" ") if address.strip(" ") in found else next(iter(found), None)

    @hookimpl
    async def next_for_proof(self, auth: Auth, request: Request) -> str | None:
        own = await self.of_browser(auth, request)
        return None if own is None else own.next

    async def make(self, auth: Auth, tx: AsyncConnection, email: str, sign_up: PendingSignUp | None) -> User:
        """An account of an address, not proven yet, with what the sign-up says; with nothing when it is nobody's."""
        if sign_up is None:
            return await auth.users.create(tx, email=email)
        columns = fields.restored(self.settings.fields, sign_up.fields)
        user = await auth.users.create(tx, email=email, name=sign_up.name, columns=columns)
        if sign_up.password_hash is not None and auth.has(Password):
            await auth.plugin(Password).set(auth, tx, user, sign_up.password_hash)
        return user

    async def admit(self, auth: Auth, tx: AsyncConnection, address: str) -> User | None:
        """The account of an address that was just proven; made where only sign-ups wait for it, from none of them.

        Args:
            address: As the mail was sent to it.

        Returns:
            The user; None where there is neither an account nor a sign-up.
        """
        user = await auth.users.by_email(address, tx)
        if user is not None:
            return user
        if not await self.pending.newest(tx, canonical_email(address), auth.clock(), 1):
            return None
        made = await self.make(auth, tx, address, None)
        proven = await auth.prove_email(tx, made, same_person=True)  # nothing is set that could be another's
        await self.pending.end(tx, canonical_email(address))
        return proven

    # Ending

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.erase_user(tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        return {"sign-ups that wait": (await tx.execute(delete(self.pending.table))).rowcount}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        if user.email is None:
            await self.pending.end_of_user(tx, user.id)
            return
        await self.pending.end(tx, canonical_email(user.email), user.id)

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any] | None:
        # What was typed may be somebody else's words about the user.
        if user.email is None:
            return None
        async with auth.db.connect() as tx:
            waiting = await self.pending.newest(tx, canonical_email(user.email), auth.clock(), BATCH)
        return {"signup": [{"created_at": timestamp(one.created_at)} for one in waiting]}

    async def _sweep(self, auth: Auth) -> bool:
        return await auth.db.transaction(partial(self.pending.sweep, now=auth.clock()))

    # Pages

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /signup: the form."""
        response = await auth.first(
            hookspecs.render_page, request=request, page=PAGE, context={"error": None}, status=200
        )
        assert response is not None
        return response

    @hookimpl
    async def parts_for_page(self, request: Request, page: str) -> Sequence[Part] | None:
        if page != "login" or request.scope["sigra.user"] is not None:
            return None
        return [Part("links", 100, "signup/link.html")]

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page != PAGE or not auth.has(Pages):
            return None
        given = {
            "posted": page,
            "own_fields": fields.asked(self.settings.fields),
            "has_passwords": auth.has(Password),
        }
        return await auth.render(request, "signup/signup.html", {**given, **context}, status, page=page)

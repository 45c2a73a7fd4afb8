"""Password reset: a new password for whoever reads the account's mailbox; it signs nobody in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from sigra import hookspecs
from sigra.answers import DONE, HTML
from sigra.errors import AccountDisabled, InvalidToken
from sigra.events import Action, Event
from sigra.hookspecs import hookimpl, render_page
from sigra.http.routing import Route
from sigra.messages import MailRequest, Message, Mint
from sigra.models import HeldToken, Part, User
from sigra.plugins.pages import Pages
from sigra.plugins.password import Password
from sigra.protocols import Auth

PURPOSE = "password_reset"
"""Of the mail that is asked for, of the token in it, and the name of the route that takes it."""

FORGOT, SENT, RESET = "password/forgot", "password/forgot/sent", "password/reset"

TEMPLATES: Mapping[str, str] = MappingProxyType(
    {FORGOT: "password_reset/forgot.html", SENT: "password_reset/sent.html", RESET: "password_reset/reset.html"}
)


class Forgotten(BaseModel):
    """The body of a request for the mail."""

    email: Annotated[str, Field(max_length=254)]


class Reset(BaseModel):
    """The body of a reset; which passwords are taken is asked of `check_password`."""

    token: Annotated[str, Field(max_length=512, repr=False)]
    new_password: Annotated[str, Field(max_length=1024, repr=False)]


class Sent(TypedDict):
    """What is answered whether or not the address has an account."""

    status: Literal["sent"]


@dataclass(frozen=True, kw_only=True)
class ResetPassword(Action):
    """Somebody who reads the account's mailbox sets a new password."""

    name: ClassVar[str] = "reset_password"


@dataclass(frozen=True, kw_only=True)
class PasswordWasReset(Event):
    """A password was set by a mailed link."""

    name: ClassVar[str] = "password_reset.done"


class PasswordReset:
    """Sets a new password by a mailed link."""

    name = "password_reset"
    api = 1
    requires = ("password",)
    events = (PasswordWasReset,)

    class Settings(BaseModel):
        """How long a link may be used.

        Args:
            lifetime: From when its mail is sent; at least a minute, at most a day.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        lifetime: Annotated[timedelta, Field(ge=timedelta(minutes=1), le=timedelta(days=1))] = timedelta(minutes=30)

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings(**settings)

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        show = partial(Route, methods=["GET"], answers={200: HTML})
        return [
            Route(
                f"/{FORGOT}",
                partial(self.forgot, auth),
                methods=["POST"],
                body=Forgotten,
                answers={202: Sent, 303: None},
            ),
            Route(f"/{RESET}", partial(self.reset, auth), methods=["POST"], name=PURPOSE, body=Reset, answers=DONE),
            *[
                show(f"/{FORGOT}", partial(self.show_forgot, auth)),
                show(f"/{SENT}", partial(self.show_sent, auth)),
                show(f"/{RESET}", partial(self.show_reset, auth)),
            ]
            * auth.has(Pages),
        ]

    # The mail

    async def forgot(self, auth: Auth, request: Request) -> Response:
        """POST /password/forgot: ask for the mail; the same answer and work whether or not there is an account."""
        body = await auth.read(request, Forgotten)
        await auth.limit(request, "mail", recipient=body.email)
        await auth.db.transaction(partial(auth.request_mail, request=MailRequest(PURPOSE, body.email)))
        return await auth.show(request, SENT, {"status": "sent"}, 202, then=f"/{SENT}")

    @hookimpl
    async def answer_mail_request(self, auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
        if request.purpose != PURPOSE:
            return
        user = await auth.users.by_email(request.address, tx)
        if user is None:
            # Who signed up and lost the mail, or never read it, asks here too.
            again = replace(request, purpose="email_verification")
            await auth.each(hookspecs.answer_mail_request, tx=tx, request=again)
        elif user.status == "active" and user.email is not None:
            await auth.send(tx, self._message(user, user.email, request.languages))

    def _message(self, user: User, recipient: str, languages: str | None) -> Message:
        # Bound to the address that it is sent to, and to all that ends proofs: a change of either ends it.
        payload = {"email": recipient, "version": user.security_version}
        mint = Mint(PURPOSE, PURPOSE, self.settings.lifetime, payload)
        minutes = round(self.settings.lifetime / timedelta(minutes=1))
        return Message("reset_password", recipient, user, {"minutes": minutes}, mint, languages)

    # The reset

    async def reset(self, auth: Auth, request: Request) -> Response:
        """POST /password/reset: set a new password by the mailed token, and end all sessions; signs nobody in."""
        body = await auth.read(request, Reset)
        async with auth.attempt(request, method=PURPOSE, guessable=False):
            held, user = await self._found(auth, body.token)
            hash = await auth.plugin(Password).checked_hash(auth, body.new_password, user, "new_password")
            await auth.db.transaction(partial(self._reset, auth, request, held, user, hash))
        return Response(status_code=204)

    async def _found(self, auth: Auth, token: str) -> tuple[HeldToken, User]:
        """The token, unspent, and whose account it opens: before the hash, which a bad token must not cost."""
        async with auth.db.connect() as tx:
            held = await auth.tokens.find(tx, PURPOSE, token)
            user = None if held is None or held.user_id is None else await auth.users.by_id(held.user_id, tx)
        if held is None or user is None:
            raise InvalidToken
        _check(held, user)
        return held, user

    async def _reset(
        self, auth: Auth, request: Request, held: HeldToken, user: User, hash: str, tx: AsyncConnection
    ) -> None:
        locked = await auth.users.lock(tx, user.id)
        if locked is None or not await auth.tokens.take(tx, held):
            raise InvalidToken
        _check(held, locked)
        await auth.act(tx, ResetPassword(user=locked, request=request))
        user = await auth.prove_email(tx, locked, same_person=False)
        await auth.plugin(Password).set(auth, tx, user, hash)
        await auth.revoke(tx, user, "password_reset")
        await auth.emit(tx, PasswordWasReset(user_id=user.id))
        await auth.plugin(Password).tell(auth, tx, user)

    # Pages

    async def show_forgot(self, auth: Auth, request: Request) -> Response:
        """GET /password/forgot: the page that asks for the address."""
        return await _page(auth, request, FORGOT)

    async def show_sent(self, auth: Auth, request: Request) -> Response:
        """GET /password/forgot/sent: what to do now."""
        return await _page(auth, request, SENT)

    async def show_reset(self, auth: Auth, request: Request) -> Response:
        """GET /password/reset: the page of the mailed link, which changes nothing."""
        return await _page(auth, request, RESET)

    @hookimpl
    async def parts_for_page(self, request: Request, page: str) -> Sequence[Part] | None:
        if page != "login" or request.scope["sigra.user"] is not None:
            return None
        return [Part("main", 10, "password_reset/done.html"), Part("links", 100, "password_reset/login.html")]

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        if page not in TEMPLATES or not auth.has(Pages):
            return None
        return await auth.render(request, TEMPLATES[page], {"posted": page, **context}, status)


def _check(held: HeldToken, user: User) -> None:
    """Whether the account is still the one that the token was made for.

    Raises:
        AccountDisabled: It is not active; a proof that cannot be guessed is told so.
        InvalidToken: Its address or what protects it has changed since.
    """
    if user.status != "active":
        raise AccountDisabled
    if held.payload != {"email": user.email, "version": user.security_version}:
        raise InvalidToken


async def _page(auth: Auth, request: Request, page: str) -> Response:
    response = await auth.first(render_page, request=request, page=page, context={"error": None}, status=200)
    assert response is not None
    return response

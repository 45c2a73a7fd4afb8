"""The plugin: adds an authenticator app, asks for its codes at every sign-in, and takes it away again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import segno
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import NoMatchFound

from sigra import (
    Auth,
    Authenticator,
    Challenge,
    InvalidCredentials,
    Job,
    Login,
    LoginExpired,
    NotFound,
    Part,
    Route,
    User,
    confirmation,
    hookimpl,
    hookspecs,
    requires,
)
from sigra.answers import DONE, HTML, SIGN_IN
from sigra_totp.codes import Parameters, folded, secret_of
from sigra_totp.enrollments import Enrollment, Enrollments
from sigra_totp.shapes import Code, Confirmed, Enrolling, Nothing, Options, Proof

METHOD, AMR = "totp", "otp"
"""RFC 8176, section 2: a one-time password."""

ENROLL, CONFIRM, SIGN_IN_PAGE, CHALLENGE = "totp/enroll", "totp/confirm", "login/totp", "login/challenge"


class TOTP:
    """Codes of an authenticator app as a second factor."""

    name = METHOD
    api = 1
    Settings = Options

    def __init__(self, **settings: Any) -> None:
        self.settings = Options(**settings)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.enrollments = Enrollments(metadata)
        return [self.enrollments.table]

    @hookimpl
    def register_templates(self) -> Sequence[Path]:
        return [Path(__file__).parent / "templates"]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        confirmed = {**SIGN_IN, 200: (Confirmed, HTML)}
        return [
            Route(
                f"/{ENROLL}",
                partial(self.enroll, auth),
                methods=["POST"],
                body=Nothing,
                answers={200: (Enrolling, HTML)},
            ),
            Route(f"/{CONFIRM}", partial(self.confirm, auth), methods=["POST"], body=Code, answers=confirmed),
            Route(f"/{SIGN_IN_PAGE}", partial(self.prove, auth), methods=["POST"], body=Proof, answers=SIGN_IN),
            Route("/totp", partial(self.remove, auth), methods=["DELETE"], secured=True, answers=DONE),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        sweep = partial(auth.db.transaction, partial(self.enrollments.sweep, auth))
        return [Job("totp.unconfirmed", timedelta(hours=1), sweep)]

    # Adding

    async def enroll(self, auth: Auth, request: Request) -> Response:
        """POST /totp/enroll: a new secret, shown this once; it counts after its first code."""
        user, _ = await self._holder(auth, request, fresh=True)
        await auth.read(request, Nothing)
        options = self.settings
        parameters = Parameters(options.algorithm, options.digits, options.period)
        begin = partial(self.enrollments.begin, auth, user=user, parameters=parameters)
        seed = await auth.db.transaction(begin)
        host = urlsplit(auth.settings.base_url).hostname or ""
        uri = parameters.uri(seed, user.email or user.name or str(user.id), options.issuer or host)
        answer: Enrolling = {"secret": secret_of(seed), "otpauth_uri": uri, "qr_svg": _drawn(uri)}
        return await auth.show(request, ENROLL, answer)

    async def confirm(self, auth: Auth, request: Request) -> Response:
        """POST /totp/confirm: the first code, from which on the app counts; the session gets a new id."""
        body = await auth.read(request, Code)
        user, login = await self._holder(auth, request, fresh=False)
        shown: dict[str, Any] = {}
        # The code is one of a secret that was just shown to whoever types it: there is nothing to guess.
        async with auth.attempt(request, method=METHOD, user=user, guessable=False):
            step = self._step(auth, await self.enrollments.find(auth, user, confirmed=False), body.code)
            if step is None:
                raise InvalidCredentials
            change = partial(self._confirm, auth, request, step, shown)
            if login is None:
                return await auth.renew(request, change, page=CONFIRM)
            response = await auth.sign_in(request, login.passed(METHOD, amr=AMR, meets=("mfa",)), change)
        return await self._shown(auth, request, response, shown)

    async def _confirm(
        self, auth: Auth, request: Request, step: int, shown: dict[str, Any], tx: AsyncConnection, user: User
    ) -> Mapping[str, Any]:
        await self.enrollments.confirm(auth, tx, user, step)
        shown.update({"recovery_codes": [], **await auth.authenticators.added(tx, user, _authenticator(user), request)})
        return shown

    async def _shown(self, auth: Auth, request: Request, response: Response, shown: Mapping[str, Any]) -> Response:
        """The answer to a sign-in in which an app was added: a form would lose what is shown but once."""
        if response.status_code != 303 or not shown["recovery_codes"]:
            return response
        context = {**shown, "next": response.headers["location"], "error": None}
        page = await auth.render(request, "totp/confirmed.html", context)
        page.raw_headers.extend(pair for pair in response.raw_headers if pair[0] == b"set-cookie")
        return page

    async def _holder(self, auth: Auth, request: Request, *, fresh: bool) -> tuple[User, Login | None]:
        """Who adds one: whoever is signed in, or a sign-in that waits for just that."""
        if request.scope["sigra.identity"] is None:
            login = await _pending(auth, request)
            if login is not None and login.may_enroll and not login.enrolling:
                return login.user, login
        return await requires(fresh=fresh)(request), None

    # Codes

    async def prove(self, auth: Auth, request: Request) -> Response:
        """POST /login/totp: a code for a sign-in that waits."""
        body = await auth.read(request, Proof)
        login = await auth.pending(request)
        async with auth.attempt(request, method=METHOD, user=login.user) as attempt:
            enrolled = None if attempt.blocked else await self.enrollments.find(auth, login.user, confirmed=True)
            step = self._step(auth, enrolled, body.code)
            if step is None:
                raise InvalidCredentials
            login = replace(login, trust_browser=login.trust_browser or body.trust_browser)
            spend = partial(self._spend, auth, step)
            return await auth.sign_in(request, login.passed(METHOD, amr=AMR, meets=("mfa",)), spend)

    async def _spend(self, auth: Auth, step: int, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.spend(auth, tx, user, step)

    def _step(self, auth: Auth, enrolled: Enrollment | None, text: str) -> int | None:
        """The step of a code as it was typed; None when it is wrong."""
        code = folded(text)
        if enrolled is None or code is None:
            return None
        its = enrolled.parameters
        return its.match(enrolled.seed, code, auth.clock(), self.settings.window, enrolled.last_step)

    @hookimpl
    async def challenges_for_login(self, tx: AsyncConnection, login: Login) -> Sequence[Challenge]:
        if await self.enrollments.is_confirmed(tx, login.user):
            return [Challenge("mfa", METHOD)]
        return [] if login.enrolling else [Challenge("enrollment", METHOD, waivable=False, alternative=True)]

    @hookimpl
    async def authenticators_for_user(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator]:
        return [_authenticator(user)] if await self.enrollments.is_confirmed(tx, user) else []

    # Removing

    async def remove(self, auth: Auth, request: Request) -> Response:
        """DELETE /totp: codes are asked for no more; every other session ends. Needs a fresh sign-in."""
        await requires(fresh=True)(request)
        return await auth.renew(request, partial(self._remove, auth, request))

    async def _remove(self, auth: Auth, request: Request | None, tx: AsyncConnection, user: User) -> None:
        if not await self.enrollments.remove(tx, user):
            raise NotFound
        await auth.authenticators.removed(tx, user, _authenticator(user), request)

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        users = cli.commands["users"]
        assert isinstance(users, click.Group)

        @users.command("remove-totp")
        @click.argument("email")
        async def remove_totp(email: str) -> None:
            """Remove the authenticator app of an account, which is told by mail; ends its sessions."""
            await auth.db.transaction(partial(self._remove_by_hand, auth, email))
            click.echo(f"Removed the authenticator app of {email}.")

    async def _remove_by_hand(self, auth: Auth, email: str, tx: AsyncConnection) -> None:
        found = await auth.users.by_email(email, tx)
        user = None if found is None else await auth.users.lock(tx, found.id)
        if user is None:
            raise click.ClickException(f"There is no account of {email}.")
        try:
            await self._remove(auth, None, tx, user)
        except NotFound as absent:
            raise click.ClickException(f"{email} has no authenticator app.") from absent

    @hookimpl
    async def forget_factors(self, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.remove(tx, user)

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.remove(tx, user)

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.remove(tx, user)

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any] | None:
        held = await self.enrollments.exported(auth, user)
        return None if held is None else {METHOD: held}

    @hookimpl
    async def end_restored(self, auth: Auth, tx: AsyncConnection) -> Mapping[str, int]:
        return {"codes of authenticator apps until now": await self.enrollments.overtake(auth, tx)}

    # Pages

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        if page == CHALLENGE:
            return await self._challenge_parts(auth, await auth.pending(request))
        user: User | None = request.scope["sigra.user"]
        if page != "account" or user is None:
            return None
        async with auth.db.connect() as tx:
            has_one = await self.enrollments.is_confirmed(tx, user)
        return [Part("main", 220, "totp/account.html", {"has_one": has_one, "confirm": confirmation(request, METHOD)})]

    async def _challenge_parts(self, auth: Auth, login: Login) -> Sequence[Part]:
        async with auth.db.connect() as tx:
            has_one = await self.enrollments.is_confirmed(tx, login.user)
        if has_one and "mfa" in login.owed:
            return [Part("main", 100, "totp/challenge.html", {"can_trust": _has_page(auth, "trusted_browsers")})]
        if not has_one and login.may_enroll and not login.enrolling:
            return [Part("main", 120, "totp/begin.html")]
        return []

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        given = {"posted": page, "next": None, **context}
        if page == ENROLL and "secret" in context:
            return await auth.render(request, "totp/enroll.html", given, status)
        if page == CONFIRM:
            template = "totp/confirmed.html" if "recovery_codes" in context else "totp/confirm.html"
            return await auth.render(request, template, given, status)
        if page == ENROLL and request.scope["sigra.identity"] is None:
            return await auth.first(
                hookspecs.render_page, request=request, page=CHALLENGE, context=given, status=status
            )
        return None


def _authenticator(user: User) -> Authenticator:
    return Authenticator("mfa", METHOD, str(user.id), "Authenticator app")


def _drawn(uri: str) -> str:
    """The QR code as an SVG element: black on white in every colour scheme, with the quiet zone that scanners need."""
    code = segno.make_qr(uri, error="m")
    return code.svg_inline(scale=5, dark="#000", light="#fff", title="QR code for an authenticator app")


def _has_page(auth: Auth, name: str) -> bool:
    try:
        return bool(auth.url_for(name))
    except NoMatchFound:
        return False


async def _pending(auth: Auth, request: Request) -> Login | None:
    try:
        return await auth.pending(request)
    except LoginExpired:
        return None

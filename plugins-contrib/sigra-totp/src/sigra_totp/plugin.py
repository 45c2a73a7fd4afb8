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
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import (
    Attempt,
    Auth,
    Authenticator,
    Challenge,
    Conflict,
    InvalidCredentials,
    Job,
    Login,
    LoginExpired,
    NotFound,
    Part,
    Route,
    User,
    confirmation,
    current_user,
    hookimpl,
    hookspecs,
    requires,
)
from sigra.answers import DONE, HTML, SIGN_IN, Problem
from sigra_totp.codes import Parameters, drawn, folded, secret_of
from sigra_totp.enrollments import NOTHING_WAITS, Enrollment, Enrollments
from sigra_totp.shapes import (
    Code,
    Confirmed,
    ConfirmedAndChallenged,
    ConfirmedAndSignedIn,
    Enrolling,
    Nothing,
    Options,
    Proof,
)

METHOD, AMR = "totp", "otp"
"""RFC 8176, section 2: a one-time password."""

ENROLL, CONFIRM, PROVE, CHALLENGE = "totp/enroll", "totp/confirm", "login/totp", "login/challenge"
"""Routes, relative to the mount path, and the pages of their forms."""


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
        enrolling = {200: (Enrolling, HTML), 409: Problem}
        confirmed = {**SIGN_IN, 200: (Confirmed | ConfirmedAndSignedIn, HTML), 202: ConfirmedAndChallenged}
        removed = {**DONE, 404: Problem, 409: Problem}
        return [
            Route(f"/{ENROLL}", partial(self.enroll, auth), methods=["POST"], body=Nothing, answers=enrolling),
            Route(f"/{CONFIRM}", partial(self.confirm, auth), methods=["POST"], body=Code, answers=confirmed),
            Route(f"/{PROVE}", partial(self.prove, auth), methods=["POST"], body=Proof, answers=SIGN_IN),
            Route("/totp", partial(self.remove, auth), methods=["DELETE"], secured=True, answers=removed),
        ]

    @hookimpl
    def register_jobs(self, auth: Auth) -> Sequence[Job]:
        sweep = partial(auth.db.transaction, partial(self.enrollments.sweep, auth))
        return [Job("totp.unconfirmed", timedelta(minutes=10), sweep)]

    # Adding

    async def enroll(self, auth: Auth, request: Request) -> Response:
        """POST /totp/enroll: a new secret, shown this once; it counts after its first code.

        For a fresh session, or a sign-in that waits for a second factor to be added.
        """
        login = await self._enrolling(auth, request)
        user = login.user if login else await requires(fresh=True)(request)
        await auth.read(request, Nothing)
        options = self.settings
        parameters = Parameters(options.algorithm, options.digits, options.period)
        begin = partial(self.enrollments.begin, auth, user=user, parameters=parameters)
        seed = await auth.db.transaction(begin)
        issuer = options.issuer or urlsplit(auth.settings.base_url).hostname or ""
        uri = parameters.uri(seed, user.email or user.name or str(user.id), issuer)
        answer: Enrolling = {"secret": secret_of(seed), "otpauth_uri": uri, "qr_svg": drawn(uri)}
        return await auth.show(request, ENROLL, answer)

    async def confirm(self, auth: Auth, request: Request) -> Response:
        """POST /totp/confirm: the first code, from which on the app counts; a session gets a new id."""
        login = await self._enrolling(auth, request)
        user = login.user if login else await current_user(request)
        body = await auth.read(request, Code)
        async with auth.db.connect() as tx:
            waiting = await self.enrollments.waiting(auth, tx, user)
        if waiting is None:
            raise Conflict(NOTHING_WAITS)
        # No guess at the account: the secret was shown to whoever has it.
        async with auth.attempt(request, method=METHOD, user=user, guessable=False) as attempt:
            step = self._step(auth, attempt, waiting, body.code)
        change = partial(self._confirm, auth, request, self.enrollments.seed(auth, waiting), step)
        if login is None:
            return await auth.renew(request, change, page=CONFIRM)
        passed = login.passed(METHOD, amr=AMR, meets=("mfa",))
        return await auth.sign_in(request, passed, change, page=CONFIRM)

    async def _confirm(
        self, auth: Auth, request: Request, seed: bytes, step: int, tx: AsyncConnection, user: User
    ) -> Mapping[str, Any]:
        await self.enrollments.confirm(auth, tx, user, seed, step)
        added = await auth.authenticators.added(tx, user, _authenticator(user), request)
        return {"recovery_codes": [], **added}

    async def _enrolling(self, auth: Auth, request: Request) -> Login | None:
        """The sign-in of whoever asks that waits for a second factor to be added, if one does."""
        try:
            login = await auth.pending(request)
        except LoginExpired:
            return None
        user: User | None = request.scope["sigra.user"]
        is_own = user is None or user.id == login.user.id
        return login if login.may_enroll and not login.enrolling and is_own else None

    # Codes

    async def prove(self, auth: Auth, request: Request) -> Response:
        """POST /login/totp: a code of the app, for a sign-in that waits."""
        login = await auth.pending(request)
        body = await auth.read(request, Proof)
        async with auth.attempt(request, method=METHOD, user=login.user) as attempt:
            async with auth.db.connect() as tx:
                enrollment = await self.enrollments.find(tx, login.user)
            step = self._step(auth, attempt, enrollment, body.code)
            login = replace(login, trust_browser=login.trust_browser or body.trust_browser)
            spend = partial(self._spend, auth, step)
            return await auth.sign_in(request, login.passed(METHOD, amr=AMR, meets=("mfa",)), spend)

    async def _spend(self, auth: Auth, step: int, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.spend(auth, tx, user, step)

    def _step(self, auth: Auth, attempt: Attempt, enrollment: Enrollment | None, code: str) -> int:
        """The step of a code as it was typed.

        Raises:
            InvalidCredentials: It is none's, or the attempt is blocked, which costs the same.
        """
        if enrollment is None:
            raise InvalidCredentials
        seed = self.enrollments.seed(auth, enrollment)
        if attempt.blocked:
            seed = bytes(len(seed))
        step = enrollment.parameters.match(seed, folded(code), auth.clock(), self.settings.window)
        if step is None or attempt.blocked:
            raise InvalidCredentials
        return step

    @hookimpl
    async def challenges_for_login(self, tx: AsyncConnection, login: Login) -> Sequence[Challenge]:
        if await self.enrollments.find(tx, login.user) is not None:
            return [Challenge("mfa", METHOD)]
        return [] if login.enrolling else [Challenge("enrollment", METHOD, alternative=True)]

    @hookimpl
    async def authenticators_for_user(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator]:
        return [] if await self.enrollments.find(tx, user) is None else [_authenticator(user)]

    @hookimpl
    async def authenticator_added(self, tx: AsyncConnection, user: User, authenticator: Authenticator) -> None:
        """A secret that was shown before there was a factor may be that of who did not have to show it."""
        if authenticator.kind == "mfa":
            await self.enrollments.end_waiting(tx, user)

    # Removing

    async def remove(self, auth: Auth, request: Request) -> Response:
        """DELETE /totp: codes are asked for no more; every other session ends."""
        await requires(fresh=True)(request)
        return await auth.renew(request, partial(self._remove, auth, request))

    async def _remove(self, auth: Auth, request: Request | None, tx: AsyncConnection, user: User) -> None:
        if await self.enrollments.find(tx, user) is None:
            raise NotFound
        await self.enrollments.erase(tx, user)
        await auth.authenticators.removed(tx, user, _authenticator(user), request)

    @hookimpl
    def register_commands(self, auth: Auth, cli: click.Group) -> None:
        users = cli.commands["users"]
        assert isinstance(users, click.Group)

        @users.command("remove-totp")
        @click.argument("email")
        async def remove_totp(email: str) -> None:
            """Remove the authenticator app of an account, end its sessions, and tell its owner by mail."""
            await auth.db.transaction(partial(self._remove_by_hand, auth, email))
            click.echo(f"Removed the authenticator app of {email}; all sessions ended.")

    async def _remove_by_hand(self, auth: Auth, email: str, tx: AsyncConnection) -> None:
        found = await auth.users.by_email(email, tx)
        user = None if found is None else await auth.users.lock(tx, found.id)
        if user is None:
            raise click.ClickException(f"There is no account of {email}.")
        try:
            await self._remove(auth, None, tx, user)
        except NotFound:
            raise click.ClickException(f"{email} has no authenticator app.") from None

    @hookimpl
    async def forget_factors(self, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.erase(tx, user)

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.erase(tx, user)

    # The user's and the operator's data

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await self.enrollments.erase(tx, user)

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any] | None:
        async with auth.db.connect() as tx:
            held = await self.enrollments.exported(tx, user)
        return None if held is None else {METHOD: held}

    @hookimpl
    async def end_restored(self, auth: Auth, tx: AsyncConnection) -> Mapping[str, int]:
        return {"codes of authenticator apps until now": await self.enrollments.overtake(auth, tx)}

    # Pages

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        user: User | None = request.scope["sigra.user"]
        if page == CHALLENGE:
            return await self._challenge_parts(auth, request)
        if page != "account" or user is None:
            return None
        async with auth.db.connect() as tx:
            held = await self.enrollments.exported(tx, user)
        app = held if held and held["confirmed_at"] else None
        return [Part("main", 220, "totp/account.html", {"app": app, "confirm": confirmation(request, METHOD)})]

    async def _challenge_parts(self, auth: Auth, request: Request) -> Sequence[Part] | None:
        login = await auth.pending(request)
        async with auth.db.connect() as tx:
            enrollment = await self.enrollments.find(tx, login.user)
        if enrollment is not None and "mfa" in login.owed:
            return [Part("main", 100, "totp/challenge.html")]
        if enrollment is None and await self._enrolling(auth, request):
            return [Part("main", 120, "totp/begin.html")]
        return None

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        given = {"posted": page, **context}
        if page == ENROLL and "secret" in context:
            return await auth.render(request, "totp/enroll.html", given, status)
        if page == CONFIRM and "recovery_codes" in context:
            return await auth.render(request, "totp/confirmed.html", given, status)
        if page not in (ENROLL, CONFIRM):
            return None
        return await self._refused(auth, request, page, given, status)

    async def _refused(
        self, auth: Auth, request: Request, page: str, given: Mapping[str, object], status: int
    ) -> Response | None:
        """The form again; where there is none any more, the page on which it began."""
        ended = isinstance(given.get("error"), LoginExpired)
        login = None if ended else await self._enrolling(auth, request)
        is_there = login is not None or request.scope["sigra.user"] is not None
        if page == CONFIRM and is_there and not isinstance(given.get("error"), Conflict):
            return await auth.render(request, "totp/confirm.html", given, status)
        if login is None:
            return None
        return await auth.first(hookspecs.render_page, request=request, page=CHALLENGE, context=given, status=status)


def _authenticator(user: User) -> Authenticator:
    return Authenticator("mfa", METHOD, str(user.id), "Authenticator app")

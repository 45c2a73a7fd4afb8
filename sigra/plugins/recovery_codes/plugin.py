"""The plugin: codes come with the first factor, each meets `mfa` once, and they go with the last factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from sigra.answers import HTML, Challenged, Problem, SignedIn
from sigra.errors import Conflict, InvalidCredentials
from sigra.events import AuthenticatorRemoved, Event
from sigra.guards import confirmation, current_user, requires
from sigra.hookspecs import hookimpl
from sigra.http.routing import Route
from sigra.messages import Message
from sigra.models import Authenticator, Challenge, Login, Part, User, timestamp
from sigra.plugins.account import Account
from sigra.plugins.pages import Pages
from sigra.plugins.recovery_codes.codes import BYTES, COUNT, Codes, canonical, written
from sigra.protocols import Auth

METHOD = "recovery_code"
"""In a challenge, of an attempt, and the purpose of the digests."""

MFA = "mfa"

AMR = "otp"
"""RFC 8176 has no word of its own for a look-up secret. It is something that one has, like a device that shows codes
(NIST SP 800-63B, sections 5.1.2 and 5.1.4): with a password it makes level 2, with another such device it does not."""

FEW = 2
"""So many left, or fewer, are told as a warning."""

PAGE = "recovery-codes"

AUTHENTICATOR = Authenticator(MFA, METHOD, "recovery_codes", "Recovery codes")

WITHOUT = "This account has no second factor that codes could stand in for. Add one first."


@dataclass(frozen=True, kw_only=True)
class RecoveryCodesMade(Event):
    """A user got a list of codes, and the one before has ended."""

    name: ClassVar[str] = "recovery_codes.made"


@dataclass(frozen=True, kw_only=True)
class RecoveryCodeUsed(Event):
    """A code took the place of a second factor; `metadata` has how many are `remaining`."""

    name: ClassVar[str] = "recovery_code.used"


class Proof(BaseModel):
    """The body of a proof.

    Args:
        code: As typed: in either case, with or without what stands between its groups.
        trust_browser: Whether this browser is spared a second factor from now on.
    """

    code: Annotated[str, Field(max_length=128, repr=False)]
    trust_browser: bool = False


class Nothing(BaseModel):
    """A body without members of its own."""


class Remaining(TypedDict):
    """How many codes a user has left."""

    remaining: int


class NewCodes(TypedDict):
    """A new list; its codes are in this answer and nowhere else."""

    codes: list[str]


class SignedInByCode(SignedIn):
    """A sign-in that a code completed, and how many codes are left."""

    recovery_codes_remaining: int


class ChallengedAfterCode(Challenged):
    """A sign-in that waits for something else than a second factor."""

    recovery_codes_remaining: int


class RecoveryCodes:
    """Codes for the day on which every factor is lost."""

    name = "recovery_codes"
    api = 1
    events = (RecoveryCodesMade, RecoveryCodeUsed)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.codes = Codes(metadata)
        return [self.codes.table]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        path = f"/{PAGE}"
        proven = {200: SignedInByCode, 202: ChallengedAfterCode, 303: None, 409: Problem}
        made = {201: (NewCodes, HTML), 303: None, 409: Problem}
        return [
            Route(path, partial(self.show, auth), name=self.name, secured=True, answers={200: (Remaining, HTML)}),
            Route(path, partial(self.make, auth), methods=["POST"], secured=True, body=Nothing, answers=made),
            Route("/login/recovery-code", partial(self.prove, auth), methods=["POST"], body=Proof, answers=proven),
        ]

    # The sign-in

    @hookimpl
    async def challenges_for_login(self, tx: AsyncConnection, login: Login) -> Sequence[Challenge] | None:
        if MFA in login.met or not await self.codes.remaining(tx, login.user):
            return None
        return [Challenge(MFA, METHOD, alternative=True)]

    async def prove(self, auth: Auth, request: Request) -> Response:
        """POST /login/recovery-code: use a code up in place of the second factor that a sign-in waits for."""
        login = await auth.pending(request)
        body = await auth.read(request, Proof)
        async with auth.attempt(request, method=METHOD, user=login.user):
            passed = login.passed(METHOD, amr=AMR, meets=(MFA,))
            passed = replace(passed, trust_browser=login.trust_browser or body.trust_browser)
            digests = auth.tokens.text_digests(METHOD, canonical(body.code))
            return await auth.sign_in(request, passed, partial(self._spend, auth, digests))

    async def _spend(self, auth: Auth, digests: Sequence[bytes], tx: AsyncConnection, user: User) -> Mapping[str, int]:
        if not await self.codes.spend(tx, user, digests):
            raise InvalidCredentials
        remaining = await self.codes.remaining(tx, user)
        used = RecoveryCodeUsed(user_id=user.id, actor_id=user.id, metadata={"remaining": remaining})
        await auth.emit(tx, used)
        if user.email is not None:
            context = {"remaining": remaining, "few": remaining <= FEW, "page": self._page(auth)}
            await auth.send(tx, Message("recovery_code_used", user.email, user, context))
        return {"recovery_codes_remaining": remaining}

    def _page(self, auth: Auth) -> str | None:
        """Where people get new ones."""
        return auth.url_for(self.name) if auth.has(Pages) else None

    # The list

    @hookimpl
    async def authenticators_for_user(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator]:
        return [AUTHENTICATOR] if await self.codes.remaining(tx, user) else []

    @hookimpl
    async def authenticator_added(
        self, auth: Auth, tx: AsyncConnection, user: User, authenticator: Authenticator
    ) -> Mapping[str, list[str]] | None:
        """The first codes come with a factor; they stay when there are more."""
        if not _is_factor(authenticator) or await self.codes.remaining(tx, user):
            return None
        return {"recovery_codes": await self._new(auth, tx, user)}

    async def _new(self, auth: Auth, tx: AsyncConnection, user: User) -> list[str]:
        codes = [written(auth.random(BYTES)) for _ in range(COUNT)]
        digests = [auth.tokens.digest(METHOD, canonical(code)) for code in codes]
        await self.codes.replace(tx, user, digests, auth.clock())
        await auth.emit(tx, RecoveryCodesMade(user_id=user.id))
        return codes

    @hookimpl
    async def record_event(self, auth: Auth, tx: AsyncConnection, event: Event) -> None:
        """Codes stand in for a factor: without any they end."""
        if not isinstance(event, AuthenticatorRemoved) or event.user_id is None:
            return
        user = await auth.users.by_id(event.user_id, tx)
        if user is not None and not await self._has_factor(auth, tx, user):
            await self.codes.end(tx, user)

    async def _has_factor(self, auth: Auth, tx: AsyncConnection, user: User) -> bool:
        return any(_is_factor(one) for one in await auth.authenticators.of(tx, user))

    async def show(self, auth: Auth, request: Request) -> Response:
        """GET /recovery-codes: how many codes are left; the codes themselves are not shown again."""
        user = await current_user(request)
        async with auth.db.connect() as tx:
            answer: Remaining = {"remaining": await self.codes.remaining(tx, user)}
        return await auth.show(request, PAGE, answer)

    async def make(self, auth: Auth, request: Request) -> Response:
        """POST /recovery-codes: ten new codes, shown once; the old ones end, and the session gets a new id."""
        await requires(fresh=True)(request)
        await auth.read(request, Nothing)
        return await auth.renew(request, partial(self._make, auth, request), page=PAGE, status=201)

    async def _make(self, auth: Auth, request: Request, tx: AsyncConnection, user: User) -> NewCodes:
        if not await self._has_factor(auth, tx, user):
            raise Conflict(WITHOUT)
        codes = await self._new(auth, tx, user)
        await auth.authenticators.added(tx, user, AUTHENTICATOR, request)
        return {"codes": codes}

    # Pages

    @hookimpl
    async def parts_for_page(self, auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
        if page == "login/challenge":
            login = await auth.pending(request)
            offered = MFA in login.owed and (await self._state(auth, login.user))["remaining"]
            return [Part("main", 900, "recovery_codes/challenge.html")] if offered else None
        user: User | None = request.scope["sigra.user"]
        if page != "account" or user is None:
            return None
        state = await self._state(auth, user)
        if not state["has_factor"]:
            return None
        context = {**state, "confirm": confirmation(request, PAGE)}
        return [Part("main", 260, "recovery_codes/account.html", context)]

    async def _state(self, auth: Auth, user: User) -> dict[str, Any]:
        async with auth.db.connect() as tx:
            remaining = await self.codes.remaining(tx, user)
            return {
                "remaining": remaining,
                "few": remaining <= FEW,
                "has_factor": await self._has_factor(auth, tx, user),
            }

    @hookimpl(trylast=True)
    async def render_page(
        self, auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
    ) -> Response | None:
        user: User | None = request.scope["sigra.user"]
        if page != PAGE or user is None or not auth.has(Pages):
            return None
        back = f"{auth.settings.mount_path}/account#{PAGE}" if auth.has(Account) else auth.settings.home
        given = {"posted": page, "confirm": confirmation(request, PAGE), "back": back, **await self._state(auth, user)}
        return await auth.render(request, "recovery_codes/page.html", {**given, **context}, status)

    # The user's data

    @hookimpl
    async def forget_factors(self, tx: AsyncConnection, user: User) -> None:
        await self.codes.end(tx, user)

    @hookimpl
    async def forget_authenticators(self, tx: AsyncConnection, user: User) -> None:
        await self.codes.end(tx, user)

    @hookimpl
    async def end_restored(self, tx: AsyncConnection) -> Mapping[str, int]:
        """All of them: one that was used since is good again, and cannot be told from the rest."""
        return {"recovery codes": await self.codes.end_all(tx)}

    @hookimpl
    async def erase_user(self, tx: AsyncConnection, user: User) -> None:
        await self.codes.end(tx, user)

    @hookimpl
    async def export_user(self, auth: Auth, user: User) -> Mapping[str, Any]:
        async with auth.db.connect() as tx:
            made = await self.codes.made(tx, user)
        return {"recovery_codes": [{"created_at": timestamp(at)} for at in made]}


def _is_factor(authenticator: Authenticator) -> bool:
    """Whether codes stand in for it."""
    return authenticator.kind == MFA and authenticator.method != METHOD

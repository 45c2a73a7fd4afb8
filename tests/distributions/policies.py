"""Policies as a plugin would write them: limits, locks, bans, a second factor, an audit; none looks at a URL."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from sigra import (
    Action,
    Attempt,
    Auth,
    Challenge,
    Event,
    InvalidCredentials,
    Login,
    Refused,
    Route,
    SignIn,
    TooManyAttempts,
    hookimpl,
)


class Limiter:
    """So many attempts a client, whatever they try."""

    name = "limiter"
    api = 1

    def __init__(self, most: int) -> None:
        self.most, self.counts = most, Counter[str]()

    @hookimpl
    async def before_attempt(self, attempt: Attempt) -> None:
        self.counts[attempt.client] += 1
        if self.counts[attempt.client] > self.most:
            raise TooManyAttempts(60)


class Locker:
    """Nobody gets into a locked account, whatever they prove."""

    name = "locker"
    api = 1

    def __init__(self, *locked: str) -> None:
        self.locked = locked

    @hookimpl
    async def before_attempt(self, attempt: Attempt) -> None:
        named = {attempt.email, attempt.user and attempt.user.email}
        if named & set(self.locked):
            raise TooManyAttempts(900)


class Confused:
    """Announces an attempt on one account, and signs in another."""

    name = "confused"
    api = 1

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [Route("/confused", partial(self.enter, auth), methods=["POST"])]

    async def enter(self, auth: Auth, request: Request) -> Response:
        body = await auth.read(request, Swap)
        user = await auth.users.by_email(body.enters)
        async with auth.attempt(request, method="confused", email=body.announces):
            if user is None:
                raise InvalidCredentials
            return await auth.sign_in(request, Login(user, ("pwd",)))


class Swap(BaseModel):
    announces: str
    enters: str


class Banned(Refused):
    code, title = "banner_banned", "Banned"


class Banner:
    """Stops the sign-in of some, inside its transaction."""

    name = "banner"
    api = 1
    errors = (Banned,)

    def __init__(self, *banned: str) -> None:
        self.banned = banned

    @hookimpl
    async def before_action(self, action: Action) -> None:
        if isinstance(action, SignIn) and action.user.email in self.banned:
            raise Banned


class Proof(BaseModel):
    code: str
    login_token: str | None = None


class Asker:
    """A second factor of everybody's: owes one kind until its code was given."""

    name = "asker"
    api = 1

    def __init__(self, kind: str = "mfa", method: str = "asker", code: str = "123456") -> None:
        self.kind, self.method, self.code = kind, method, code

    @hookimpl
    async def challenges_for_login(self, login: Login) -> Sequence[Challenge]:
        return [Challenge(self.kind, self.method)]

    @hookimpl
    def register_routes(self, auth: Auth) -> Sequence[Route]:
        return [Route(f"/login/{self.method}", partial(self.meet, auth), methods=["POST"])]

    async def meet(self, auth: Auth, request: Request) -> Response:
        body = await auth.read(request, Proof)
        login = await auth.pending(request)
        async with auth.attempt(request, method=self.method, user=login.user):
            if body.code != self.code:
                raise InvalidCredentials
            return await auth.sign_in(request, login.passed(self.method, amr="otp", meets=(self.kind,)))


class SecondAsker(Asker):
    """The same for another kind."""

    name = "second_asker"

    def __init__(self) -> None:
        super().__init__("terms", "terms", "I agree")


class Waiver:
    """Lifts kinds, as a trusted browser would."""

    name = "waiver"
    api = 1

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    @hookimpl
    async def waivers_for_login(self, login: Login) -> Sequence[str]:
        return self.kinds


class Auditor:
    """Writes every event down in the transaction of its fact; `broken` names one that it cannot."""

    name = "auditor"
    api = 1

    def __init__(self, broken: str | None = None) -> None:
        self.broken = broken

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table]:
        self.table = Table(
            "sigra_auditor",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("event", String(64), nullable=False),
            Column("user_id", String(36)),
            Column("client", String(45)),
        )
        return [self.table]

    @hookimpl
    async def record_event(self, tx: AsyncConnection, event: Event) -> None:
        row = {"event": event.name, "user_id": event.user_id and str(event.user_id), "client": event.client}
        await tx.execute(insert(self.table).values(row))
        if event.name == self.broken:
            raise OSError("the disk of the audit is full")

    async def names(self, auth: Auth) -> list[str]:
        query = select(self.table.c.event).where(self.table.c.client.is_not(None)).order_by(self.table.c.id)
        async with auth.db.connect() as tx:
            return list((await tx.execute(query)).scalars())


class Listener:
    """Hears every event after the answer, and fails at each with `error`, if any."""

    api = 1

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name, self.error, self.heard = name, error, list[str]()

    @hookimpl
    async def handle_event(self, event: Event) -> None:
        self.heard.append(event.name)
        if self.error is not None:
            raise self.error


class Raiser:
    """Fails, not by refusing, in one hook."""

    api = 1

    def __init__(self, hook: str) -> None:
        self.name = f"raiser_in_{hook}"


def raiser(hook: str) -> Raiser:
    """A plugin that fails with a `ValueError` in that hook."""

    async def fail(self: Raiser) -> None:
        raise ValueError("a plugin's bug")

    fail.__name__ = hook
    return type("Raiser", (Raiser,), {hook: hookimpl(fail)})(hook)

"""What a plugin may ask of Sigra: `Auth` and the roles behind its members. Named in signatures, never inherited.

With `hookspecs.py` (what Sigra asks of a plugin) this is the whole contract of a plugin.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from pydantic import BaseModel
from sqlalchemy import Column
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sigra.db import Database
from sigra.events import Action, Event
from sigra.messages import MailRequest, Message
from sigra.models import Attempt, Authenticator, Cookie, HeldToken, Identity, Login, MintedSecret, Status, User
from sigra.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Change = Callable[[AsyncConnection, User], Awaitable[object]]
"""What is done to a user together with a sign-in or a renewal."""


class Plugin(Protocol):
    """A plugin: `name`, `api` (the hook ABI, 1), and methods marked `@hookimpl`.

    Optional, each checked for conflicts at start:
    `requires`: names of plugins that must be active too. `Settings`: a pydantic model for the section of that name.
    `events`, `errors`: the classes that it brings. `carriers`: what it issues, by `Login.carrier`.
    `cookies`: the names (without prefix) of the cookies that `identity_from_cookie` reads.
    """

    @property
    def name(self) -> str: ...
    @property
    def api(self) -> int: ...


class Users(Protocol):
    """The accounts, by canonical address or by id; None for absent."""

    async def by_email(self, address: str, tx: AsyncConnection | None = None) -> User | None: ...
    async def by_id(self, id: uuid.UUID, tx: AsyncConnection | None = None) -> User | None: ...
    async def lock(self, tx: AsyncConnection, id: uuid.UUID) -> User | None:
        """The account, that nobody else changes until the transaction ends."""
        ...

    async def create(
        self,
        tx: AsyncConnection,
        *,
        email: str | None,
        email_verified: bool = False,
        name: str | None = None,
        columns: Mapping[str, Any] = ...,
    ) -> User:
        """Insert an account and record `UserCreated`.

        Args:
            columns: Values for columns of the host's own.

        Raises:
            ValidationFailed: The address is not one.
            Conflict: It has an account already.
        """
        ...

    async def describe(self, tx: AsyncConnection, user: User, *, name: str | None, locale: str | None) -> User:
        """Change what the user is called, and in which language mails are written."""
        ...

    async def move(self, tx: AsyncConnection, user: User, email: str) -> User:
        """Give the account another address, which was proven.

        Raises:
            ValidationFailed: It is not an address.
            Conflict: It has an account already.
        """
        ...

    async def set_status(self, tx: AsyncConnection, user: User, status: Status) -> User:
        """Change what the account may do, end proofs that are under way, and record it."""
        ...

    async def delete(self, tx: AsyncConnection, user: User) -> None:
        """Delete the account; what points at it goes with it."""
        ...

    async def anonymise(self, tx: AsyncConnection, user: User) -> None:
        """Keep the account's row and nothing that says whose it was."""
        ...


class Hasher(Protocol):
    """Password hashing in one bounded queue.

    Raises:
        Unavailable: The queue is full.
    """

    async def hash(self, text: str) -> str: ...
    async def verify(self, hash: str | None, text: str) -> bool:
        """Whether `text` is the password; with None the same work is done and the answer is False."""
        ...

    def outdated(self, hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        ...


class Tokens(Protocol):
    """Opaque secrets of 256 bits, stored only as keyed digests, one purpose never accepted for another."""

    async def issue(
        self,
        tx: AsyncConnection,
        purpose: str,
        user: User | None,
        payload: Mapping[str, Any],
        lifetime: timedelta,
        *,
        subject: str | None = None,
    ) -> str:
        """A new single-use token; the older one of the same purpose and subject (else user) ends.

        What goes into a mail is not issued here but named by its `Message.mint`.
        """
        ...

    async def find(self, tx: AsyncConnection, purpose: str, token: str) -> HeldToken | None:
        """What a token would give, while it stays unspent; None when it is unknown, used or expired."""
        ...

    async def count_code(self, tx: AsyncConnection, purpose: str, subject: str) -> bool:
        """Use up one of five tries at the code of a subject, in a transaction of its own before `find_by_code`.

        False when there is no code at all. It need not be asked: `find_by_code` itself finds nothing then, nor after
        the last try, nor when nothing was counted.
        """
        ...

    async def find_by_code(self, tx: AsyncConnection, purpose: str, subject: str, code: str) -> HeldToken | None:
        """What the token of a subject would give, by its code; only within the tries that `count_code` counted."""
        ...

    async def waits(self, tx: AsyncConnection, purpose: str, subject: str) -> bool:
        """Whether something that was issued about a subject is neither spent nor expired."""
        ...

    async def take(self, tx: AsyncConnection, held: HeldToken) -> bool:
        """Spend a token that was found, in the transaction of its effect; False when somebody was faster."""
        ...

    async def end(
        self, tx: AsyncConnection, purpose: str, *, user: User | None = None, subject: str | None = None
    ) -> None:
        """End what was issued for a purpose to a user, or about a subject."""
        ...

    async def spend(self, tx: AsyncConnection, purpose: str, token: str) -> Mapping[str, Any] | None:
        """The payload, once; None when it is unknown, used or expired."""
        ...

    def mint(self, purpose: str, prefix: str = "") -> MintedSecret:
        """A new secret for a table of the plugin's own; with a prefix it carries a checksum too."""
        ...

    def digest(self, purpose: str, text: str) -> bytes:
        """Any text as a table keeps it that must not tell it, under the first key of the ring; 32 bytes."""
        ...

    def text_digests(self, purpose: str, text: str) -> Sequence[bytes]:
        """What `digest` may have kept a text as: one a key of the ring."""
        ...

    def digests(self, purpose: str, text: str, prefix: str = "") -> Sequence[bytes]:
        """What a presented secret may be stored as, one a key of the ring; empty when its form is wrong."""
        ...


class Vault(Protocol):
    """Encryption at rest, for columns of type `sigra.db.Sealed`."""

    def seal(self, column: Column[bytes], id: object, plaintext: bytes) -> bytes:
        """What the column stores in the row of that primary key; opens there alone.

        Args:
            id: The row's primary key, as it is stored.
        """
        ...

    def open(self, column: Column[bytes], id: object, sealed: bytes) -> bytes:
        """What was sealed there.

        Raises:
            SealBroken: It was sealed elsewhere, or was changed, or its key is in the ring no more.
        """
        ...


class Authenticators(Protocol):
    """By what users can prove who they are, whichever plugins know it."""

    async def of(self, tx: AsyncConnection, user: User) -> Sequence[Authenticator]:
        """All that a user has, by `authenticators_for_user`."""
        ...

    async def added(
        self,
        tx: AsyncConnection,
        user: User,
        authenticator: Authenticator,
        request: HTTPConnection | None = None,
        *,
        tell: bool = True,
    ) -> Mapping[str, Any]:
        """Call it once the new one is stored, the user locked: asks whether it may be, records it, tells the mailbox.

        The first one of kind `mfa` ends every proof that was given before it; sessions stay, and are not fresh.

        Args:
            tell: Whether the mailbox is told by `factor_added`; the plugin may have a mail of its own.

        Returns:
            What other plugins add to the answer, for one time: recovery codes.
        """
        ...

    async def removed(
        self,
        tx: AsyncConnection,
        user: User,
        authenticator: Authenticator,
        request: HTTPConnection | None = None,
        *,
        tell: bool = True,
    ) -> None:
        """Call it once one is gone, the user locked: asks whether it may be, and records it.

        All sessions and tokens of the user end but the request's own, and the mailbox is told.

        Args:
            tell: Whether the mailbox is told by `factor_removed`.

        Raises:
            LastAuthenticator: It was the last way in.
        """
        ...


class Auth(Protocol):
    """Sigra as a plugin sees it."""

    @property
    def settings(self) -> Settings:
        """The core's options, and one attribute a plugin section, as in `auth.settings.sessions.idle`."""
        ...

    @property
    def db(self) -> Database: ...
    @property
    def users(self) -> Users: ...
    @property
    def hasher(self) -> Hasher: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def authenticators(self) -> Authenticators: ...

    def clock(self) -> datetime:
        """Now, in UTC."""
        ...

    def random(self, count: int) -> bytes:
        """As many random bytes, from the one source of randomness."""
        ...

    def url_for(self, name: str, /, **path_params: Any) -> str:
        """The absolute URL of a route of the mount path, from the configured base URL alone."""
        ...

    def plugin(self, cls: type[T]) -> T:
        """The active plugin of that class.

        Raises:
            LookupError: None is active.
        """
        ...

    def has(self, cls: type) -> bool:
        """Whether a plugin of that class is active."""
        ...

    async def first(
        self, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Ask the plugins in order until one answers."""
        ...

    async def each(
        self, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[R]:
        """Ask every plugin in order; the answers that are not None."""
        ...

    def cookie(self, request: HTTPConnection, name: str) -> str | None:
        """The value of a cookie, by its name without prefix; None when absent.

        Raises:
            Malformed: It was sent twice.
        """
        ...

    def set_cookie(self, response: Response, cookie: Cookie) -> None:
        """Set a cookie on an answer, or delete it (`max_age=0`), under the name and with the attributes of ours."""
        ...

    def client(self, request: HTTPConnection) -> str:
        """The client's address, after trusted proxies."""
        ...

    async def read(self, request: Request, model: type[M]) -> M:
        """The body, JSON or form, as a model.

        Raises:
            Malformed, UnsupportedMediaType, PayloadTooLarge, ValidationFailed
        """
        ...

    def attempt(
        self,
        request: HTTPConnection,
        *,
        method: str,
        email: str | None = None,
        user: User | None = None,
        guessable: bool = True,
    ) -> AbstractAsyncContextManager[Attempt]:
        """`async with auth.attempt(…) as attempt`: counts it, then records `InvalidCredentials` that leave the block.

        When `attempt.blocked`, the proof is wrong whatever it is: do the same work, and raise `InvalidCredentials`.
        A block that ends otherwise ends so, too.

        Args:
            guessable: False when the proof cannot be guessed, or has a count of tries of its own.

        Raises:
            TooManyAttempts: A limit refuses the attempt before the proof is looked at.
        """
        ...

    async def limit(
        self, request: HTTPConnection, action: str, *, account: str | None = None, recipient: str | None = None
    ) -> None:
        """Count an action against the limits on it; outside of transactions, before anything is done.

        Args:
            action: `mail` before `request_mail`, `sign_up`, `token`, or the action of a limit of the plugin's own.
            account: The address whose account it is about, whether or not it has one.
            recipient: The address that a mail would go to.

        Raises:
            TooManyAttempts: A limit is used up; says after how many seconds it is not.
            RuntimeError: No limit is on that action.
        """
        ...

    async def act(self, tx: AsyncConnection, action: Action) -> None:
        """Ask whether the action may be done; returns when nobody refuses."""
        ...

    async def emit(self, tx: AsyncConnection, event: Event) -> None:
        """Record a fact in its own transaction; told to everybody else after the commit."""
        ...

    async def sign_in(
        self, request: Request, login: Login, change: Change | None = None, *, page: str | None = None
    ) -> Response:
        """The one way to a credential: signed in, or challenged for what is still owed.

        Args:
            change: `change(tx, user)`, first in the transaction, the user locked and as of now: it spends the secret
                that was the proof, and may change the user. Raising undoes all of it. It writes only through `tx`.
                A mapping that it returns is added to a JSON answer.
            page: Shows that mapping to a form, which would lose what is told but once; `onward` is where it goes on.
        """
        ...

    async def renew(
        self,
        request: Request,
        change: Change,
        *,
        page: str | None = None,
        status: int = 200,
        next: str | None = None,
    ) -> Response:
        """Make a change to whoever asks, and go on under a new session id and secret, in one transaction.

        For what ends proofs and other sessions: a new password, a factor removed. `change(tx, user)` gets the user
        locked and as of now, and writes only through `tx`. The present session keeps its level, its age and its end;
        nothing is issued to anybody else. The answer is 204, or for a form 303 to its `next`.

        Args:
            page: When `change` returns a mapping, it is the answer instead: JSON, or that page for a form.
            status: Of that answer.
            next: Where a browser goes on to; what the request says when omitted.

        Raises:
            Unauthenticated: Nobody is signed in, or the session or what it was let in by has ended meanwhile.
            SessionRequired: The credential has no session.
        """
        ...

    async def present(self, tx: AsyncConnection, request: Request) -> User:
        """Whoever asks by a session, locked and as of now; first in the transaction of a change that they ask for.

        A body may be held open while the session is ended: what was found out before it was read holds no more.
        `renew` and `sign_out` see to it themselves.

        Raises:
            Unauthenticated: Nobody is signed in, or the session or what it was let in by has ended meanwhile.
            SessionRequired: The credential has no session.
        """
        ...

    async def resume(self, request: Request, session_id: uuid.UUID) -> Identity | None:
        """Have a request without an identity (`cross_origin`) go on as the session that began it; None when it ended.

        For what brings proof that this browser's session began it: an answer from elsewhere that was waited for.
        """
        ...

    async def pending(self, request: Request) -> Login:
        """The sign-in that waits for another proof, by cookie or by `login_token` in the body.

        Raises:
            LoginExpired: There is none.
        """
        ...

    async def sign_out(self, request: Request, change: Change | None = None) -> Response:
        """End the present session; the same answer without one.

        Args:
            change: As in `renew`, for what nobody stays signed in after; first in the transaction. There must be a
                session then.
        """
        ...

    async def revoke(self, tx: AsyncConnection, user: User, reason: str, keep: uuid.UUID | None = None) -> None:
        """End every session and token of a user, but the session `keep`."""
        ...

    async def forget(self, tx: AsyncConnection, user: User, reason: str) -> None:
        """End every session and token of a user, and all that could make new ones: `forget_authenticators`."""
        ...

    async def prove_email(self, tx: AsyncConnection, user: User, *, same_person: bool) -> User:
        """Note that whoever acts reads the mailbox of the account's address; nothing happens when that is known.

        Args:
            same_person: Whether whoever acts is also shown to be who set the account's password and all else. If
                not, all of it is forgotten.

        Returns:
            The user as of now.
        """
        ...

    async def send(self, tx: AsyncConnection, message: Message) -> None:
        """Deliver a message once the transaction is committed."""
        ...

    async def request_mail(self, tx: AsyncConnection, request: MailRequest) -> None:
        """Have it decided after the answer whether there is a mail to send: `answer_mail_request`.

        A request counts it first, by `limit(request, "mail", recipient=…)`.
        """
        ...

    async def render(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any],
        status: int = 200,
        *,
        page: str | None = None,
    ) -> Response:
        """A page from the host's, the plugins' or the core's templates.

        Every template has `request`, `auth`, `error` and `forms`: `forms.at("badge")` is the form that posts to
        `/badge`, with its error and what was typed when it was refused.

        Args:
            context: `error` and `posted`, the path of the form that was refused, beside the template's own values.
            page: Ask `parts_for_page` of it; the template shows them as `{{ parts("slot") }}`.
        """
        ...

    async def show(
        self, request: Request, page: str, body: Mapping[str, Any], status: int = 200, *, then: str | None = None
    ) -> Response:
        """One answer on two faces: `body` as JSON, or for a person (a navigation, a form) the page with it as context.

        JSON too where no plugin renders that page.

        Args:
            then: The path of a page, relative to the mount path, that a person goes on to (303) instead.
        """
        ...

"""What Sigra asks of plugins. A `def` spec is asked once, while `Sigra` is built; an `async def` spec is awaited.

The arguments may be taken in part: an implementation names those that it uses. How the answers are joined is said by
the first line: *collect* (all, at build), *each* (all that are not None), *first* (until one answers).
A hook that takes `tx` may run again when the database asks for a retry: it writes only through `tx`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click
import pluggy
from jinja2 import BaseLoader
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from sigra.errors import SigraError
from sigra.events import Action, Event
from sigra.messages import MailRequest, RenderedMessage
from sigra.models import Attempt, Authenticator, Challenge, Cookie, Identity, Issued, Job, Limit, Login, Part, User
from sigra.protocols import Auth

PROJECT = "sigra"
API = 1
"""The hook ABI: a plugin says which one it was written for."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# Asked once, while Sigra is built.


@hookspec
def register_tables(auth: Auth, metadata: MetaData) -> Sequence[Table]:
    """Collect: return the plugin's tables, made on `metadata` and named `sigra_<plugin>…`."""


@hookspec
def register_routes(auth: Auth) -> Sequence[BaseRoute]:
    """Collect: return routes, their paths relative to the mount path.

    A form that a route answers by 204, or by 200 or 202 with JSON, goes on to its `next` (303), unless it is
    `cross_origin`.
    """


@hookspec
def register_templates(auth: Auth) -> Sequence[str | Path | BaseLoader]:
    """Collect: return folders or loaders of templates; the host's come before, the core's after.

    A template of a page's name takes the place of that page.
    """


@hookspec
def register_middleware(auth: Auth) -> Sequence[Callable[[ASGIApp], ASGIApp]]:
    """Collect: return ASGI wrappers, the first outermost; they run between identity and the routes."""


@hookspec
def register_resources(auth: Auth) -> Sequence[AbstractAsyncContextManager[object]]:
    """Collect: return async context managers, opened at each start and closed in reverse."""


@hookspec
def register_limits(auth: Auth) -> Sequence[Limit]:
    """Collect: return rate limits, on actions and subjects, never on URLs."""


@hookspec
def register_jobs(auth: Auth) -> Sequence[Job]:
    """Collect: return periodic work, done by one worker at a time, in the application or in `sigra worker`."""


@hookspec
def register_commands(auth: Auth, cli: click.Group) -> None:
    """Collect: add commands to `cli`; one whose callback is `async def` runs with Sigra started."""


# Asked on every request.


@hookspec
async def check_request(auth: Auth, request: HTTPConnection) -> None:
    """Each: raise `Refused` to refuse the request; its identity is known."""


@hookspec
async def identity_from_authorization(
    auth: Auth, request: HTTPConnection, scheme: str, credentials: str
) -> Identity | None:
    """Every: return the identity behind the header, None for "not mine", raise `InvalidToken` for "mine and bad".

    `scheme` is in lower case.
    """


@hookspec
async def identity_from_cookie(auth: Auth, request: HTTPConnection) -> Identity | None:
    """Every: the same for the plugin's `cookies`; asked only when no Bearer credential is present."""


@hookspec
async def scopes_for_identity(auth: Auth, identity: Identity) -> Collection[str] | None:
    """Each: return scopes to add; never asked for a credential that stands alone, such as an API key."""


@hookspec
async def before_response(auth: Auth, request: HTTPConnection, headers: Headers) -> Mapping[str, str] | None:
    """Each: return headers to add to an answer that has `headers`."""


@hookspec
async def identity_of_session(auth: Auth, tx: AsyncConnection, session_id: uuid.UUID) -> Identity | None:
    """First: return whom a live session stands for, by its id; None for one that has ended, or is of another kind.

    Whoever names a `session_id` in identities answers it: `auth.present` takes a session that nobody knows for ended.
    """


# Asked on the way to a credential.


@hookspec
async def subject_for_attempt(auth: Auth, attempt: Attempt) -> str | None:
    """First: return by what tries at the account are counted here, None for its address.

    So that what others guess from elsewhere is not counted against who is known. No transaction is open, and the work
    is the same for every address.
    """


@hookspec
async def before_attempt(auth: Auth, attempt: Attempt) -> None:
    """Each: raise `Refused` before the proof is looked at. No transaction is open; counts commit on their own.

    Raise `InvalidCredentials` to have the proof count as wrong whatever it is (`attempt.blocked`): the answer and the
    work behind it are then those of a wrong one.
    """


@hookspec
async def prove_password(auth: Auth, attempt: Attempt, user: User, password: str) -> bool | None:
    """First: return True when it is the user's password, None where none are kept; raise `InvalidCredentials` when not.

    Inside of an attempt, no transaction open; the work is the same for an account without one.
    """


@hookspec
async def check_password(auth: Auth, password: str, user: User | None) -> None:
    """Each: raise `WeakPassword` to refuse a new password. No transaction is open.

    `user` is whose it will be, not stored yet where the account is only being made; None where nothing is known.
    """


@hookspec
async def before_action(auth: Auth, tx: AsyncConnection, action: Action) -> None:
    """Each: raise `Refused` to stop the action; any other error stops it too."""


@hookspec
async def challenges_for_login(
    auth: Auth, tx: AsyncConnection, request: Request, login: Login
) -> Sequence[Challenge] | None:
    """Each: return what is owed before this user gets a credential; the union of all answers holds."""


@hookspec
async def waivers_for_login(auth: Auth, tx: AsyncConnection, request: Request, login: Login) -> Collection[str] | None:
    """Each: return challenge kinds that need not be met here; a kind with one fixed challenge stays.

    Not asked of whoever is signed in already and proves it again: what a browser is spared is no proof.
    """


@hookspec
async def is_unfamiliar(auth: Auth, tx: AsyncConnection, request: Request, login: Login) -> bool | None:
    """Each: whether browser or place are unusual for this user, to whom nothing more is owed; one True is enough."""


@hookspec
async def issue_credential(auth: Auth, tx: AsyncConnection, request: Request, login: Login) -> Issued:
    """Return what carries the session or tokens; asked only of the plugin that claims `login.carrier`.

    What it issues was last proven at `login.authenticated_at`, also when that is None.
    """


@hookspec
async def cookies_for_login(
    auth: Auth, tx: AsyncConnection, request: Request, login: Login, issued: Issued
) -> Sequence[Cookie] | None:
    """Each: return cookies that go with the credential, which has just been issued."""


@hookspec
async def renew_session(auth: Auth, tx: AsyncConnection, request: Request, identity: Identity) -> Issued | None:
    """Each: return what carries this one session under a new id and secret, the old ones dead; None for "not mine".

    Nothing was proven: level, time of authentication and end stay what they were. A session that has ended stays ended.
    """


@hookspec
async def authenticators_for_user(auth: Auth, tx: AsyncConnection, user: User) -> Sequence[Authenticator] | None:
    """Each: return by what of the plugin's the user can prove who they are."""


@hookspec
async def authenticator_added(
    auth: Auth, tx: AsyncConnection, user: User, authenticator: Authenticator
) -> Mapping[str, Any] | None:
    """Each: the user, locked, has just got another one; return members for the answer that says so."""


@hookspec
async def forget_factors(auth: Auth, tx: AsyncConnection, user: User, reason: str) -> None:
    """Each: end all of the plugin's that meets `mfa`, since its user has lost it; what only begins a sign-in stays."""


@hookspec
async def revoke_session(auth: Auth, tx: AsyncConnection, identity: Identity) -> None:
    """Each: end what was issued for this one session."""


@hookspec
async def revoke_credentials(auth: Auth, tx: AsyncConnection, user: User, reason: str, keep: uuid.UUID | None) -> None:
    """Each: end everything that the plugin issued to the user, but what belongs to the session `keep`."""


@hookspec
async def address_to_prove(auth: Auth, tx: AsyncConnection, address: str) -> str | None:
    """First: return where to write about an address without an account whose proof somebody waits for, else None.

    Two spellings may be two mailboxes: the one that is asked for, where somebody has typed it so.
    """


@hookspec
async def account_for_address(
    auth: Auth, tx: AsyncConnection, request: Request, address: str, login_token: str | None
) -> User | None:
    """First: make the account of an address that is proven now and has none, for who waits for that; None for nobody.

    Asked of whoever holds the mailed secret: make it for the browser that asks, or for who shows `login_token`, and for
    nobody else. The address is noted as proven by the caller.
    """


@hookspec
async def next_for_proof(auth: Auth, request: Request) -> str | None:
    """First: return where the person wanted to go for whom this browser waits that an address is proven, else None."""


@hookspec
async def forget_authenticators(auth: Auth, tx: AsyncConnection, user: User, reason: str) -> None:
    """Each: end all by which the user could prove who they are, and changes that wait: passwords, factors, keys.

    Asked when an address is proven for the first time by somebody who is not shown to be who set them.
    """


# Mail.


@hookspec
async def answer_mail_request(auth: Auth, tx: AsyncConnection, request: MailRequest) -> None:
    """Each: for a purpose of the plugin's, `auth.send` what there is to send, or nothing. Later work: nobody waits."""


@hookspec
async def send_message(auth: Auth, message: RenderedMessage) -> bool | None:
    """First: deliver a message and return True; None to leave it to the next.

    Raising tries again later: `Undelivered` says why to the operator, and `Undeliverable` that no later try can help.
    It may be asked twice for one message, with the same `message_id`, after a worker was killed.
    """


# Told of facts.


@hookspec
async def record_event(auth: Auth, tx: AsyncConnection, event: Event) -> None:
    """Each: write the fact down in its own transaction; raising undoes the fact."""


@hookspec
async def handle_event(auth: Auth, event: Event) -> None:
    """Each: react to a fact, after commit and answer; one that raises is reported and the rest go on."""


# The user's data.


@hookspec
async def export_user(auth: Auth, user: User) -> Mapping[str, Any] | None:
    """Each: return what the plugin holds about the user, by name, as JSON values; never a secret or its digest."""


@hookspec
async def erase_user(auth: Auth, tx: AsyncConnection, user: User) -> None:
    """Each: delete what the plugin holds about the user, or make it nobody's; the account's row may stay, anonymous.

    Rows whose `user_ref()` cascades go with the account, but not when it is made anonymous: delete them here.
    """


# The operator's data.


@hookspec
async def end_restored(auth: Auth, tx: AsyncConnection, passwords: bool) -> Mapping[str, int] | None:
    """Each: the database is an old backup; end all that the plugin issued, and all that waits. Return how many of what.

    What was used or ended after the backup has come back and cannot be told from the rest, so that all of it ends:
    whole tables in a few statements, since there may be millions of rows. `passwords`: whether passwords end, too.
    """


# The face.


@hookspec
async def parts_for_page(auth: Auth, request: Request, page: str) -> Sequence[Part] | None:
    """Each: return what the plugin has to show on the page of that name.

    Told rather than asked: one that raises is reported, the page says that something is missing, and the rest is shown.
    """


@hookspec
async def render_page(
    auth: Auth, request: Request, page: str, context: Mapping[str, object], status: int
) -> Response | None:
    """First: return the page of that name, None to leave it to the next."""


@hookspec
async def render_error(auth: Auth, request: HTTPConnection, error: SigraError) -> Response | None:
    """First: return the answer to an error, None to leave it to the next; the last is a problem (RFC 9457)."""

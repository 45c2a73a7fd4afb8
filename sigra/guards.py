"""What an application asks before it answers: who is there, and whether that is enough.

Guards take an `HTTPConnection`, so that they hold for WebSockets too, and are compared by value, so that a framework
can override them. A refusal becomes a problem (401 or 403) whatever the framework makes of the exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, cast
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request
from starlette.routing import NoMatchFound

from sigra.errors import (
    AssuranceRequired,
    InsufficientScope,
    ReauthenticationRequired,
    SessionRequired,
    SigraError,
    Unauthenticated,
)
from sigra.http import exchange
from sigra.models import Assurance, Identity, User, factors_of
from sigra.protocols import Auth

WITHOUT_FACTOR = "This needs a second factor, and your account has none. Add one to your account first."
ONE_FACTOR_TWICE = "This needs two different factors, such as a password and a code of an app. Sign in with both."


async def current_user(connection: HTTPConnection) -> User:
    """Whoever is signed in.

    Raises:
        Unauthenticated: Nobody is.
    """
    return _identity(connection).user


def requires(
    *, scopes: Iterable[str] = (), fresh: bool | timedelta = False, assurance: Assurance | None = None
) -> Requirement:
    """Ask for more than a user.

    Awaited with the connection: `user = await requires(scopes=["reports:read"])(request)`.

    Args:
        scopes: All of them must be carried.
        fresh: Signed in within the window of `SIGRA_REAUTHENTICATION__FRESH`, or within the one given.
        assurance: At least this level (NIST SP 800-63B, section 4).
    """
    if isinstance(scopes, str):
        raise TypeError("scopes is a collection: write scopes=[...]")
    return Requirement(frozenset(scopes), fresh, assurance)


@dataclass(frozen=True)
class Requirement:
    """What `requires` returns; two of equal terms are equal."""

    scopes: frozenset[str]
    fresh: bool | timedelta
    assurance: Assurance | None

    async def __call__(self, connection: HTTPConnection) -> User:
        """The user, when every term is met.

        Raises:
            Unauthenticated, InsufficientScope, AssuranceRequired, ReauthenticationRequired, SessionRequired
        """
        identity = _identity(connection)
        if not self.scopes <= identity.scopes:
            _refuse(connection, InsufficientScope())
        if self.assurance == "aal2" and identity.assurance != "aal2":
            _refuse(connection, await _lack_of_assurance(connection, identity))
        if self.fresh is not False:
            self._check_fresh(connection, identity)
        return identity.user

    def _check_fresh(self, connection: HTTPConnection, identity: Identity) -> None:
        if identity.authenticated_at is None and identity.session_id is None:
            _refuse(connection, SessionRequired())
        if not is_fresh(connection, identity, self.fresh if isinstance(self.fresh, timedelta) else None):
            _refuse(connection, ReauthenticationRequired())


async def _lack_of_assurance(connection: HTTPConnection, identity: Identity) -> AssuranceRequired:
    """What a session of level 1 lacks, and whether its user could prove more."""
    if identity.session_id is None:
        return AssuranceRequired(in_vain=True)
    auth = cast(Auth, connection.scope["sigra.auth"])
    async with auth.db.connect() as tx:
        has_factor = any(one.kind == "mfa" for one in await auth.authenticators.of(tx, identity.user))
    # Where something was waived, there is something to prove, whoever asks for it.
    if not has_factor and identity.authenticated_at is not None:
        return AssuranceRequired(WITHOUT_FACTOR, in_vain=True)
    # Only a factor that was added since would be asked for now and was not then.
    gave_one = len(identity.amr) > 1 or "possession" in factors_of(identity.amr)
    if is_fresh(connection, identity) and gave_one:
        return AssuranceRequired(ONE_FACTOR_TWICE, in_vain=True)
    return AssuranceRequired()


def is_fresh(connection: HTTPConnection, identity: Identity, window: timedelta | None = None) -> bool:
    """Whether everything that the account asks for was proven within the window, or within that of the settings."""
    auth = cast(Auth, connection.scope["sigra.auth"])
    most = auth.settings.reauthentication.fresh if window is None else window
    proven = identity.authenticated_at
    return proven is not None and auth.clock() - proven <= most


def confirmation(request: Request, section: str) -> str | None:
    """Where the account page sends its user before something that needs a fresh sign-in.

    None when it is fresh already, or no plugin has such a page.

    Args:
        section: Of the account page, where the user comes back to.
    """
    identity: Identity | None = request.scope["sigra.identity"]
    if identity is None or is_fresh(request, identity):
        return None
    auth = cast(Auth, request.scope["sigra.auth"])
    try:
        page = auth.url_for("reauthenticate")
    except NoMatchFound:
        return None
    return f"{page}?next={quote(f'{auth.settings.mount_path}/account#{section}', safe='')}"


def _identity(connection: HTTPConnection) -> Identity:
    if "sigra.identity" not in connection.scope:
        raise RuntimeError("this request did not come through Sigra: serve `auth.wrap(app)`")
    identity: Identity | None = connection.scope["sigra.identity"]
    if identity is None:
        _refuse(connection, Unauthenticated())
    return identity


def _refuse(connection: HTTPConnection, error: SigraError) -> NoReturn:
    if exchange.KEY in connection.scope:
        exchange.of(connection).refusal = error
    raise error

"""Authentication for any ASGI application, grown by plugins that are checked to compose safely.

The public face: names only, each imported when it is first asked for, so that the command line starts without the
database and HTTP libraries.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigra import hookspecs
    from sigra.addresses import canonical_email
    from sigra.core import Sigra
    from sigra.errors import (
        AccountDisabled,
        ConfigurationError,
        Conflict,
        FieldError,
        InvalidCredentials,
        InvalidProof,
        InvalidToken,
        LastAuthenticator,
        LoginExpired,
        NotFound,
        OtherAccount,
        ReauthenticationRequired,
        Refused,
        SigraError,
        TooManyAttempts,
        Unauthenticated,
        UnsupportedMediaType,
        ValidationFailed,
        WeakPassword,
    )
    from sigra.events import (
        Action,
        AddAuthenticator,
        AuthenticatorAdded,
        AuthenticatorRemoved,
        CredentialsRevoked,
        Event,
        RemoveAuthenticator,
        SignedIn,
        SignIn,
        SignInChallenged,
        SignInFailed,
        StartSignUp,
    )
    from sigra.guards import confirmation, current_user, requires
    from sigra.hookspecs import hookimpl
    from sigra.http.routing import Route
    from sigra.messages import MailRequest, Message, Mint, RenderedMessage, Undeliverable, Undelivered
    from sigra.models import (
        FIRST_AUTHENTICATOR,
        Attempt,
        Authenticator,
        Challenge,
        Cookie,
        HeldToken,
        Identity,
        Issued,
        Job,
        Limit,
        Login,
        Part,
        User,
        timestamp,
    )
    from sigra.protocols import Auth, Plugin
    from sigra.settings import Settings

__all__ = [
    "FIRST_AUTHENTICATOR",
    "AccountDisabled",
    "Action",
    "AddAuthenticator",
    "Attempt",
    "Auth",
    "Authenticator",
    "AuthenticatorAdded",
    "AuthenticatorRemoved",
    "Challenge",
    "ConfigurationError",
    "Conflict",
    "Cookie",
    "CredentialsRevoked",
    "Event",
    "FieldError",
    "HeldToken",
    "Identity",
    "InvalidCredentials",
    "InvalidProof",
    "InvalidToken",
    "Issued",
    "Job",
    "LastAuthenticator",
    "Limit",
    "Login",
    "LoginExpired",
    "MailRequest",
    "Message",
    "Mint",
    "NotFound",
    "OtherAccount",
    "Part",
    "Plugin",
    "ReauthenticationRequired",
    "Refused",
    "RemoveAuthenticator",
    "RenderedMessage",
    "Route",
    "Settings",
    "SignIn",
    "SignInChallenged",
    "SignInFailed",
    "SignedIn",
    "Sigra",
    "SigraError",
    "StartSignUp",
    "TooManyAttempts",
    "Unauthenticated",
    "Undeliverable",
    "Undelivered",
    "UnsupportedMediaType",
    "User",
    "ValidationFailed",
    "WeakPassword",
    "canonical_email",
    "confirmation",
    "current_user",
    "hookimpl",
    "hookspecs",
    "requires",
    "timestamp",
]

_HOMES = {
    "addresses": ("canonical_email",),
    "core": ("Sigra",),
    "errors": (
        "AccountDisabled",
        "ConfigurationError",
        "Conflict",
        "FieldError",
        "InvalidCredentials",
        "InvalidProof",
        "InvalidToken",
        "LastAuthenticator",
        "LoginExpired",
        "NotFound",
        "OtherAccount",
        "ReauthenticationRequired",
        "Refused",
        "SigraError",
        "TooManyAttempts",
        "Unauthenticated",
        "UnsupportedMediaType",
        "ValidationFailed",
        "WeakPassword",
    ),
    "events": (
        "Action",
        "AddAuthenticator",
        "AuthenticatorAdded",
        "AuthenticatorRemoved",
        "CredentialsRevoked",
        "Event",
        "RemoveAuthenticator",
        "SignIn",
        "SignInChallenged",
        "SignInFailed",
        "SignedIn",
        "StartSignUp",
    ),
    "guards": ("confirmation", "current_user", "requires"),
    "hookspecs": ("hookimpl",),
    "http.routing": ("Route",),
    "messages": ("MailRequest", "Message", "Mint", "RenderedMessage", "Undeliverable", "Undelivered"),
    "models": (
        "Attempt",
        "Authenticator",
        "Challenge",
        "Cookie",
        "FIRST_AUTHENTICATOR",
        "HeldToken",
        "Identity",
        "Issued",
        "Job",
        "Limit",
        "Login",
        "Part",
        "User",
        "timestamp",
    ),
    "protocols": ("Auth", "Plugin"),
    "settings": ("Settings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"sigra.{_HOME_OF[name]}"), name)
    if name == "hookspecs":
        return import_module("sigra.hookspecs")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

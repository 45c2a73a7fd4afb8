"""What may be stopped (actions, imperative) and what has happened (events, past tense).

A plugin brings its own subclasses: audit, webhooks and lockout take them as they come.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from starlette.requests import HTTPConnection

from sigra.models import Attempt, Authenticator, Login, User

Outcome = Literal["success", "failure"]


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something about to be done to `user`, inside its transaction; any plugin may still refuse it.

    Args:
        user: Whose account it touches; locked for the length of the transaction.
        request: What carries it; None from the command line or later work.
    """

    name: ClassVar[str]
    user: User
    request: HTTPConnection | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class SignIn(Action):
    """A user signs in, every proof but the policies' being given."""

    name: ClassVar[str] = "sign_in"
    login: Login


@dataclass(frozen=True, kw_only=True)
class SignOut(Action):
    """A user ends the present session."""

    name: ClassVar[str] = "sign_out"


@dataclass(frozen=True, kw_only=True)
class StartSignUp(Action):
    """Somebody asks for an account; `user` is what it would be, stored nowhere, whether or not the address has one."""

    name: ClassVar[str] = "start_sign_up"


@dataclass(frozen=True, kw_only=True)
class AddAuthenticator(Action):
    """A user gets another way to prove who they are."""

    name: ClassVar[str] = "add_authenticator"
    authenticator: Authenticator


@dataclass(frozen=True, kw_only=True)
class RemoveAuthenticator(Action):
    """One of a user's ways to prove who they are is taken away; what is left is stored already."""

    name: ClassVar[str] = "remove_authenticator"
    authenticator: Authenticator


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that has happened, recorded in the transaction of its fact.

    Args:
        user_id: The account that it is about; None when there is none, as after a wrong proof.
        actor_id: Who did it; the seam fills in the request's identity.
        outcome: `success` or `failure`.
        metadata: What else is known; JSON values only, never a secret.
        occurred_at: Set by the seam, as all that follows: UTC.
        client: The client's address.
        user_agent: As sent, at most 512 characters.
        request_id: One for all events of a request.
        session_id: The session of the request.
    """

    name: ClassVar[str]
    user_id: uuid.UUID | None = None
    actor_id: uuid.UUID | None = None
    outcome: Outcome = "success"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    occurred_at: datetime | None = None
    client: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    session_id: uuid.UUID | None = None


@dataclass(frozen=True, kw_only=True)
class SignedIn(Event):
    """A credential was issued; `metadata` has `carrier`, `amr` and `assurance`."""

    name: ClassVar[str] = "sign_in.succeeded"
    attempts: tuple[Attempt, ...] = field(default=(), repr=False, compare=False)
    """For who counts them: the request's tries at this account."""
    login: Login | None = field(default=None, repr=False, compare=False)
    """For who brought the proof: what was passed, and what the new session replaces."""


@dataclass(frozen=True, kw_only=True)
class SignInFailed(Event):
    """A proof was wrong; `metadata` has `method` and the canonical `email` that was tried, if any."""

    name: ClassVar[str] = "sign_in.failed"
    outcome: Outcome = "failure"
    attempts: tuple[Attempt, ...] = field(default=(), repr=False, compare=False)
    """For who counts them: the try that was wrong."""


@dataclass(frozen=True, kw_only=True)
class SignInChallenged(Event):
    """A proof was right and more is owed; `metadata` has the `kinds`."""

    name: ClassVar[str] = "sign_in.challenged"
    attempts: tuple[Attempt, ...] = field(default=(), repr=False, compare=False)
    """For who counts them: the try that was right, if the request made one at this account."""


@dataclass(frozen=True, kw_only=True)
class SignedOut(Event):
    """A user ended the present session."""

    name: ClassVar[str] = "sign_out.succeeded"


@dataclass(frozen=True, kw_only=True)
class CredentialsRevoked(Event):
    """Every carrier ended what it had issued to a user; `metadata` has the `reason`."""

    name: ClassVar[str] = "credentials.revoked"


@dataclass(frozen=True, kw_only=True)
class AuthenticatorAdded(Event):
    """An account got another authenticator; `metadata` has its `kind`, `method`, `id` and `name`."""

    name: ClassVar[str] = "authenticator.added"


@dataclass(frozen=True, kw_only=True)
class AuthenticatorRemoved(Event):
    """An authenticator of an account was taken away; `metadata` has its `kind`, `method`, `id` and `name`."""

    name: ClassVar[str] = "authenticator.removed"


@dataclass(frozen=True, kw_only=True)
class UserCreated(Event):
    """An account came into being."""

    name: ClassVar[str] = "user.created"


@dataclass(frozen=True, kw_only=True)
class EmailVerified(Event):
    """The account's address was proven; `metadata` has whether what was set before was kept (`same_person`)."""

    name: ClassVar[str] = "email.verified"


@dataclass(frozen=True, kw_only=True)
class UserDisabled(Event):
    """An account was disabled: nothing of it is accepted any more."""

    name: ClassVar[str] = "user.disabled"


@dataclass(frozen=True, kw_only=True)
class UserEnabled(Event):
    """A disabled account may sign in again; what was revoked stays revoked."""

    name: ClassVar[str] = "user.enabled"


@dataclass(frozen=True, kw_only=True)
class DatabaseRestored(Event):
    """After an old backup came back, all was ended that it held; `metadata` has what (`ended`), and if `passwords`."""

    name: ClassVar[str] = "database.restored"

"""What the floors pass to each other: who asks, what was proven, what is owed, what was issued."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, final

from starlette.requests import HTTPConnection

from sigra.answers import PublicUser
from sigra.frozen import quick

Assurance = Literal["aal1", "aal2"]
"""Authenticator assurance level (NIST SP 800-63B, section 4)."""

Status = Literal["active", "disabled", "closing"]

Subject = Literal["client", "account", "client_and_account", "recipient"]
"""By whom a limit counts."""

ADDRESS_PROVEN = "email_verification"
"""The method of a sign-in that has proven an address and nothing else: that alone lets nobody in."""

FIRST_AUTHENTICATOR = "first_authenticator"
"""What a sign-in meets in which an account without any authenticator got one."""

_FACTOR_OF_AMR: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("pwd", "pin", "kba"), "knowledge")
    | dict.fromkeys(("hwk", "swk", "otp", "sms", "tel", "sc"), "possession")
    | dict.fromkeys(("face", "fpt", "iris", "retina", "vbm"), "inherence")
)


def factors_of(amr: Iterable[str]) -> frozenset[str]:
    """The factors that methods (RFC 8176) stand for: `knowledge`, `possession`, `inherence`; some are none."""
    return frozenset(_FACTOR_OF_AMR[value] for value in amr if value in _FACTOR_OF_AMR)


def timestamp(at: datetime) -> str:
    """RFC 3339, section 5.6, in UTC with `Z`, as every answer writes times."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@final
@quick
@dataclass(frozen=True, slots=True)
class User:
    """An account, as read from `sigra_users`.

    Args:
        email: The address as typed, to which mail goes; None when the account has none.
        email_verified: Whether the address was proven.
        status: Only an `active` account can sign in or be identified.
        security_version: Moves with every change that ends proofs made before it.
        locale: The language that the user chose, a tag (RFC 5646); None when none was chosen.
        columns: The host's own columns, by name; read-only.
    """

    id: uuid.UUID
    email: str | None
    email_verified: bool = False
    name: str | None = None
    status: Status = "active"
    security_version: int = 0
    locale: str | None = None
    columns: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def public(self) -> PublicUser:
        """What the user may see of it, as JSON values."""
        return {"id": str(self.id), "email": self.email, "email_verified": self.email_verified, "name": self.name}


@final
@quick
@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and by what credential.

    Args:
        method: What resolved it: `session`, `api_key`, or a plugin's own word.
        credential_id: The row behind the credential.
        scopes: What the credential may do.
        amr: Authentication methods (RFC 8176) passed at sign-in.
        authenticated_at: When the user last proved everything that the account asks for, UTC; None when never: a key,
            or a session at whose sign-in something was waived.
        session_id: The session that carries it; None for a credential that stands alone, such as a key.
        acting: Who really acts, when somebody acts for the user.
    """

    user: User
    method: str
    credential_id: str
    scopes: frozenset[str] = frozenset()
    amr: tuple[str, ...] = ()
    authenticated_at: datetime | None = None
    assurance: Assurance = "aal1"
    session_id: uuid.UUID | None = None
    acting: User | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in on its way through the seam: who, what was proven, how it shall end.

    Args:
        user: As read together with the proof; its `security_version` must still hold when the credential is issued.
        amr: Authentication methods passed (RFC 8176, section 2).
        carrier: Who issues: exactly one active plugin claims each carrier.
        remember: Whether the session outlives the browser.
        next: Where a browser goes afterwards; checked by the seam.
        methods: The methods passed, by name; the first is the one that named the user.
        met: The challenge kinds met by what was passed.
        level: 2 when a method that passed is multi-factor by itself (NIST SP 800-63B, section 4.2.1).
        guessable: False when the proof cannot be guessed (passkey, mailed token, provider): only then a disabled
            account is told apart from a wrong proof.
        replaces: The session that this sign-in renews; the seam sets it.
        pending: The pending sign-in that this one continues; the seam sets it.
        owed: The challenge kinds that a pending sign-in waits for; the seam sets it.
        authenticated_at: When everything that the account asks for is proven, UTC; None when something was waived. The
            seam sets it, for who issues.
        trust_browser: Whether the user asked that this browser be spared a second factor from now on.
        reference: What a plugin notes of the proof that began it, as the id of a row; `SignedIn.login` has it.
        unfamiliar: Whether a plugin finds browser or place unusual for this user (`is_unfamiliar`). The seam sets it,
            for who issues.
    """

    user: User
    amr: tuple[str, ...]
    carrier: str = "session"
    remember: bool = False
    next: str | None = None
    methods: tuple[str, ...] = ()
    met: frozenset[str] = frozenset()
    level: Literal[1, 2] = 1
    guessable: bool = True
    replaces: uuid.UUID | None = None
    pending: uuid.UUID | None = None
    owed: frozenset[str] = frozenset()
    authenticated_at: datetime | None = None
    trust_browser: bool = False
    reference: str | None = None
    unfamiliar: bool = False

    def passed(
        self, method: str, *, amr: str | Iterable[str], meets: Iterable[str] = (), level: Literal[1, 2] = 1
    ) -> Login:
        """The same sign-in after one more method.

        Args:
            method: The method's name, as in the `Challenge` that asked for it.
            amr: What it proves (RFC 8176).
            meets: The challenge kinds that it meets.
            level: 2 when the method is multi-factor by itself.
        """
        more = (amr,) if isinstance(amr, str) else tuple(amr)
        return replace(
            self,
            amr=tuple(dict.fromkeys((*self.amr, *more))),
            methods=(*self.methods, method),
            met=self.met | frozenset(meets),
            level=max(self.level, level),
        )

    @property
    def enrolling(self) -> bool:
        """Whether it may only go on to choose how to sign in: nothing but the address of an account is proven.

        `FIRST_AUTHENTICATOR` is met by who sets a password or a passkey then.
        """
        return self.methods[:1] == (ADDRESS_PROVEN,) and FIRST_AUTHENTICATOR not in self.met

    @property
    def may_enroll(self) -> bool:
        """Whether an authenticator may be added while it waits, which then counts as proven.

        Only where that is all it waits for. While a factor is owed, whoever has the password would add one of their own
        to go round it; while an address is, they would lock out its owner, who proves it later.
        """
        return self.owed == {"enrollment"}

    @property
    def assurance(self) -> Assurance:
        """`aal2` with two methods of different factors or one that is level 2 by itself, else `aal1`.

        A value that is no factor by RFC 8176 (a mailed link, `user`, a plugin's own word) never raises the level.
        """
        return "aal2" if self.level == 2 or len(factors_of(self.amr)) > 1 else "aal1"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tries to prove something; asked about before the proof is looked at.

    Args:
        method: What is tried: `password`, `totp`, …
        client: The client's address, after trusted proxies.
        email: The canonical address that was named, whether or not it has an account.
        user: The user, when already known.
        request: The request that carries the attempt.
        guessable: False when the proof cannot be guessed, or has a count of tries of its own (a mailed token or code, a
            passkey): nobody is kept from those by the guesses of others.
        subject: By what tries at the account are counted: its canonical address, whether or not it has an account,
            or what `subject_for_attempt` says instead; None when no account is named.
        blocked: Whether the proof counts as wrong whatever it is. All work is done as always, so that nobody can tell.
    """

    method: str
    client: str
    email: str | None = None
    user: User | None = None
    request: HTTPConnection | None = field(default=None, repr=False, compare=False)
    guessable: bool = True
    subject: str | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """Something still owed before a credential is issued.

    Args:
        kind: What must be met: `mfa`, `email_verification`, … All kinds must be met, each by any one of its methods.
        method: One way to meet it: `totp`, `passkey`, …; None when who demands it leaves that to others.
        waivable: Whether a waiver (a trusted browser) may lift it.
        alternative: Whether it only offers a way to meet what somebody else demands: a recovery code.
    """

    kind: str
    method: str | None
    waivable: bool = True
    alternative: bool = False


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Something by which a user can prove who they are (NIST SP 800-63B, section 3).

    Args:
        kind: The challenge kind that it meets: `mfa`; `primary` for what only begins a sign-in.
        method: The method's name, as in a `Challenge`.
        id: Which one of the method's, as text.
        name: What its user calls it.
        level: 2 when it is multi-factor by itself (NIST SP 800-63B, section 4.2.1).
        alone: Whether somebody can sign in with nothing else.
    """

    kind: str
    method: str
    id: str
    name: str
    level: Literal[1, 2] = 1
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to set; the seam adds prefix, `Secure`, `HttpOnly`, `SameSite=Lax` and `Path=/` (RFC 6265bis, 4.1.3).

    Args:
        name: Without prefix: `sigra`, `sigra-login`, …
        max_age: Seconds; None for as long as the browser runs, 0 to delete.
        cross_site: Whether it comes along with forms that other sites' pages post (`SameSite=None`), as an answer may.
            Nothing may be done for such a request but what it brings its own proof for.
    """

    name: str
    value: str = field(repr=False)
    max_age: int | None = None
    cross_site: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """What a carrier made: cookies to set and members to add to the JSON answer.

    Args:
        cookies: Sent on either face.
        body: Added to `{"status": "signed_in", "user": …}`; may hold tokens, so it is never shown in `repr`.
        session_id: The session that was made, when there is one.
    """

    cookies: tuple[Cookie, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    session_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What a plugin puts on a page of somebody else's: a form, a button, a section.

    Args:
        slot: Where on the page; each page says which slots it has, and a part for none of them is not shown.
        order: Smaller is nearer to the top of the slot.
        template: Its template, escaped and rendered alone.
        context: Values beside those that every page has.
    """

    slot: str
    order: int
    template: str
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class MintedSecret:
    """A new secret: `text` is shown once, `digest` is stored."""

    text: str = field(repr=False)
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A single-use token that was found and not yet spent.

    Args:
        user_id: To whom it was issued; None when to nobody yet.
        payload: What it gives.
    """

    id: uuid.UUID
    purpose: str
    user_id: uuid.UUID | None
    payload: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Job:
    """Periodic work, done by one worker at a time.

    Args:
        name: Begins with the plugin's name.
        every: How long after the end of one run the next is due.
        run: Does one batch and says whether more is left.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit: how often something may be done, in any stretch of time of that length.

    Args:
        name: Begins with the plugin's name; `SIGRA_LIMITS__RULES` changes its rate by it.
        action: What is counted: `attempt` (every try), `proof` (the same once nobody has anything against it; what a
            lock turns down is counted apart), `factor` (a proof for a pending sign-in), `mail`, `sign_up`, `token`, or
            a word of the plugin's own, which begins with its name and is counted by `auth.limit`.
        subject: By whom: `client`, `account`, both together, or `recipient`. Never by URL.
        rate: As in `10/minute` or `3/15 minutes`.
    """

    name: str
    action: str
    subject: Subject
    rate: str

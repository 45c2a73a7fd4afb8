"""Every error that Sigra raises, in one tree, each with a stable code and a text that is safe to show.

    SigraError
    ├── ConfigurationError            at start only; ends a server with its paragraph, without a traceback
    ├── Malformed                     400  a request that cannot be understood
    ├── InvalidToken                  400  a mailed token that is bad
    │   └── InvalidBearerToken        401  the same of a bearer credential
    ├── Unauthenticated               401  nobody is signed in
    ├── InvalidCredentials            401  a wrong proof
    │   └── InvalidProof              401  a wrong proof for a pending sign-in
    ├── LoginExpired                  401  no pending sign-in, or one that is spent, expired or dead
    ├── Refused                       403  a rule says no; what plugins raise
    │   ├── CrossOrigin
    │   ├── SessionRequired
    │   ├── InsufficientScope
    │   ├── AssuranceRequired
    │   ├── ReauthenticationRequired
    │   ├── AccountDisabled
    │   ├── AddressAlone
    │   └── TooManyAttempts           429
    ├── NotFound                      404  foreign and absent alike
    ├── MethodNotAllowed              405
    ├── RequestTimeout                408
    ├── Conflict                      409
    │   ├── OtherAccount
    │   └── LastAuthenticator
    ├── PayloadTooLarge               413
    ├── UnsupportedMediaType          415
    ├── ValidationFailed              422  names the fields
    │   └── WeakPassword              422  a new password breaks a rule
    ├── InternalError                 500  a plugin's bug, without its text
    └── Unavailable                   503  come back later; nobody was let in
        ├── HookFailed                     a plugin failed where it could have refused
        └── SealBroken                     what was sealed at rest does not open

A subclass in a plugin sets `code` and, if it differs, `status` and `title`; the plugin lists it in its `errors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

BEARER = 'Bearer realm="sigra"'
"""The challenge of a 401; RFC 6750, section 3, wants a parameter."""


class SigraError(Exception):
    """The root of the tree.

    Args:
        detail: One sentence that is safe to show to whoever made the request; the class's own when omitted.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Error"
    detail: str = "The request could not be completed."
    """What went wrong, safe to show; an instance may say it more exactly."""

    def __init__(self, detail: str | None = None) -> None:
        if detail is not None:
            self.detail = detail
        super().__init__(self.detail)

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers that belong to this error: every 401 names a scheme (RFC 9110, section 15.5.2)."""
        return {"www-authenticate": BEARER} if self.status == 401 else {}


class ConfigurationError(SigraError, SystemExit):  # type: ignore[misc]  # `code` is ours on the class, see below
    """Raised while a `Sigra` is built: names the option and the cure.

    Also a `SystemExit`, so that one that nobody catches ends any server with its paragraph on stderr and a non-zero
    status, without a traceback.
    """

    title: ClassVar[str] = "Configuration error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # What the interpreter prints when it ends is SystemExit's `code`, of the object.
        self.code = message  # type: ignore[misc]


class Malformed(SigraError):
    """Raised for a request that cannot be understood: broken JSON, encoding, depth, doubled credentials.

    Cure: Send one well-formed JSON object or form, each member once, and one credential.
    """

    code, status, title = "malformed", 400, "Malformed request"
    detail = "The request could not be understood."


class InvalidToken(SigraError):
    """Raised for a presented credential that is ours and bad: unknown, used, expired or revoked, all alike.

    Cure: Ask for a new one where the old one came from.
    """

    code, status, title = "invalid_token", 400, "Invalid token"
    detail = "The token is not valid. It may have been used already, or have expired."


class InvalidBearerToken(InvalidToken):
    """Raised for a bearer credential that is ours and bad (RFC 6750, section 3.1).

    Cure: Use a key that is still listed; make a new one otherwise.
    """

    status: ClassVar[int] = 401

    @property
    def headers(self) -> Mapping[str, str]:
        return {"www-authenticate": 'Bearer error="invalid_token"'}


class Unauthenticated(SigraError):
    """Raised where somebody must be signed in and nobody is.

    Cure: Sign in, or send an API key as `Authorization: Bearer …`.
    """

    code, status, title = "unauthenticated", 401, "Not signed in"
    detail = "Sign in to continue."


class InvalidCredentials(SigraError):
    """Raised for a wrong proof. Never says which half was wrong, nor whether the account exists.

    Cure: Let the person type it again; do not guess for them which half was wrong.
    """

    code, status, title = "invalid_credentials", 401, "Invalid credentials"
    detail = "The sign-in details are not right."


class InvalidProof(InvalidCredentials):
    """Raised for a wrong proof while a pending sign-in waits for it.

    Cure: Let the person try again; after five wrong ones the sign-in starts over.
    """

    code, title = "invalid_proof", "Invalid proof"
    detail = "That was not right. Try again."


class LoginExpired(SigraError):
    """Raised when the pending sign-in is absent, spent, expired, or dead after too many wrong proofs.

    Cure: Start the sign-in again from its first step.
    """

    code, status, title = "login_expired", 401, "Sign-in expired"
    detail = "This sign-in has expired. Start again."


class Refused(SigraError):
    """Raised by a rule that says no; plugins raise it, or a subclass with a code of their own.

    Cure: Read `detail`; repeating the request does not help.
    """

    code, status, title = "refused", 403, "Refused"
    detail = "This is not allowed."


class CrossOrigin(Refused):
    """Raised for an unsafe request that another origin made.

    Cure: Send it from a page of the application, or add the page's origin to `SIGRA_TRUSTED_ORIGINS`.
    """

    code, title = "cross_origin", "Cross-origin request"
    detail = "The request comes from another origin."


class SessionRequired(Refused):
    """Raised when a credential without a session asks for what only a signed-in person may do.

    Cure: Sign in by a browser; an API key cannot do this.
    """

    code, title = "session_required", "Session required"
    detail = "This needs a signed-in session."


class InsufficientScope(Refused):
    """Raised when the identity lacks a scope that the route demands (RFC 6750, section 3.1).

    Cure: Use a key that has the scope; scopes are fixed when a key is made.
    """

    code, title = "insufficient_scope", "Insufficient scope"
    detail = "The credential does not carry the scope that this needs."

    @property
    def headers(self) -> Mapping[str, str]:
        return {"www-authenticate": 'Bearer error="insufficient_scope"'}


class AssuranceRequired(Refused):
    """Raised when the session's assurance level is below what the route demands (NIST 800-63B).

    Cure: Re-authenticate with a second factor, then repeat the request; `detail` says when the account has none.

    Args:
        in_vain: Whether the account, as it is, cannot prove more than its session did.
    """

    code, title = "assurance_required", "Stronger sign-in required"
    detail = "This needs a stronger sign-in."

    def __init__(self, detail: str | None = None, *, in_vain: bool = False) -> None:
        super().__init__(detail)
        self.in_vain = in_vain


class ReauthenticationRequired(Refused):
    """Raised when the sign-in is older than the window that the route demands.

    Cure: Sign in again, then repeat the request.
    """

    code, title = "reauthentication_required", "Sign in again"
    detail = "This needs a recent sign-in."


class AccountDisabled(Refused):
    """Raised for a disabled or closing account, and only to a proof that cannot be guessed.

    Cure: Ask whoever runs the application; `sigra users enable` lets the account in again.
    """

    code, title = "account_disabled", "Account disabled"
    detail = "This account cannot sign in."


class AddressAlone(Refused):
    """Raised for a sign-in that has proven an address and nothing else, where nothing else can be chosen.

    Cure: Sign in another way: the address is proven. The operator switches on a plugin by which accounts get a password
    or a passkey.
    """

    code, title = "address_alone", "An address alone lets nobody in"
    detail = "An address alone lets nobody in, and nothing can be chosen here to sign in with."


class TooManyAttempts(Refused):
    """Raised when a limit is used up; the same for known and unknown accounts.

    Cure: Wait as many seconds as `Retry-After` says.

    Args:
        retry_after: Whole seconds until another try can succeed.
    """

    code, status, title = "too_many_attempts", 429, "Too many attempts"
    detail = "Too many attempts. Wait, then try again."

    def __init__(self, retry_after: int, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        return {"retry-after": str(max(1, self.retry_after))}


class NotFound(SigraError):
    """Raised for what is absent and for what belongs to somebody else, alike.

    Cure: Check the path and the id, and who is signed in.
    """

    code, status, title = "not_found", 404, "Not found"
    detail = "There is nothing here."


class MethodNotAllowed(SigraError):
    """Raised for a known path and another method.

    Cure: Use one of the methods that the header `Allow` names.

    Args:
        allow: The methods that the path knows.
    """

    code, status, title = "method_not_allowed", 405, "Method not allowed"
    detail = "The method is not allowed here."

    def __init__(self, allow: Sequence[str]) -> None:
        super().__init__()
        self.allow = tuple(allow)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"allow": ", ".join(self.allow)}


class RequestTimeout(SigraError):
    """Raised when a body does not arrive in time.

    Cure: Send the request again, its body without pauses.
    """

    code, status, title = "request_timeout", 408, "Request timeout"
    detail = "The request took too long to arrive."


class Conflict(SigraError):
    """Raised when the request does not fit the present state.

    Cure: Read the present state, then decide again.
    """

    code, status, title = "conflict", 409, "Conflict"
    detail = "The request does not fit the present state."


class OtherAccount(Conflict):
    """Raised for the proof of one user while another is signed in.

    Cure: Sign out first.
    """

    code, title = "other_account", "Another account is signed in"
    detail = "Another account is signed in. Sign out first."


class LastAuthenticator(Conflict):
    """Raised for taking away the last way in to an account.

    Cure: Add another one first: a password, or a passkey.
    """

    code, title = "last_authenticator", "The last way in"
    detail = "This is the last way to sign in to this account. Add another one first."


class PayloadTooLarge(SigraError):
    """Raised for a body above the mount path's limit.

    Cure: Send less than 64 KiB.
    """

    code, status, title = "payload_too_large", 413, "Payload too large"
    detail = "The request body is too large."


class UnsupportedMediaType(SigraError):
    """Raised for a body that is neither JSON nor a form.

    Cure: Send `application/json`, or a form.
    """

    code, status, title = "unsupported_media_type", 415, "Unsupported media type"
    detail = "Send application/json or a form."


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a stable code and a text that does not echo the input."""

    field: str
    code: str
    message: str


class ValidationFailed(SigraError):
    """Raised for a body whose fields are wrong.

    Cure: `errors` names each field with a code and a message; mend these and send it again.

    Args:
        errors: One entry a field, in the order of the fields.
    """

    code, status, title = "validation_failed", 422, "Validation failed"
    detail = "Some fields are not right."

    def __init__(self, errors: Sequence[FieldError], detail: str | None = None) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class WeakPassword(ValidationFailed):
    """Raised for a new password that breaks a rule; never quotes it.

    Cure: Show the message of `errors`, and ask for another password.

    Args:
        message: What to do about it, as one sentence that is safe to show.
        rule: The code of the field's entry: `too_short`, `too_common`, …
        field: The field of the body; whoever asked about the password knows it, see `at`.
    """

    code, title = "weak_password", "Weak password"
    detail = "The new password is too easy to guess, or cannot be used."

    def __init__(
        self, message: str = "Choose another password.", rule: str = "weak_password", field: str = "password"
    ) -> None:
        super().__init__([FieldError(field, rule, message)])

    def at(self, field: str) -> WeakPassword:
        """The same about another field."""
        [error] = self.errors
        return WeakPassword(error.message, error.code, field)


class InternalError(SigraError):
    """Raised in place of an error that is nobody's answer: the log has it, the client has not.

    Cure: Nothing on the client's side; the log of the server has the cause.
    """

    code, status, title = "internal_error", 500, "Internal error"
    detail = "Something went wrong on our side."


class Unavailable(SigraError):
    """Raised when the database or the hash queue cannot serve now; the request may be repeated as it is.

    Cure: Send the same request again after as many seconds as `Retry-After` says.

    Args:
        retry_after: Whole seconds after which another try is sensible.
    """

    code, status, title = "unavailable", 503, "Temporarily unavailable"
    detail = "The service is busy. Try again in a moment."

    def __init__(self, retry_after: int = 5, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        return {"retry-after": str(max(1, self.retry_after))}


class HookFailed(Unavailable):
    """Raised when a plugin fails in a hook that may refuse: what could not be checked is refused.

    Cure: The same; the log of the server names the plugin.
    """


class SealBroken(Unavailable):
    """Raised when what was sealed at rest does not open; its text, for the log alone, names table, column and row.

    Cure: The operator puts the key back into `SIGRA_SECRET_KEYS`, or restores the row; `sigra doctor` counts such rows.

    Args:
        table: Where it is stored.
        column: The same.
        id: The row's primary key.
        sealed: How it was sealed instead.
    """

    def __init__(self, table: str, column: str, id: object, sealed: str) -> None:
        super().__init__()
        self.args = (f"The value of {table}.{column} in the row {id} was sealed {sealed}.",)

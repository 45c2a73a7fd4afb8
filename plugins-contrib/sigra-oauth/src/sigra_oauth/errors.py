"""What can go wrong between here and a provider, as whoever signs in is told it.

Why an answer was not taken is for the operator: `reason`, which is logged, never shown.
"""

from __future__ import annotations

from collections.abc import Mapping

from sigra import Conflict, Refused, SigraError


class OAuthExpired(SigraError):
    """Raised for a callback that belongs to no attempt of this browser: unknown, used, too late, or begun elsewhere.

    Cure: Begin again, in this browser.
    """

    code, status, title = "oauth_expired", 400, "This attempt is over"
    detail = "This sign-in was finished already, has expired, or was begun in another browser. Begin again."


class OAuthDenied(Refused):
    """Raised when the provider says that its user did not allow it (`access_denied`; RFC 6749, section 4.1.2.1).

    Cure: Begin again, and allow it at the provider.
    """

    code, title = "oauth_denied", "Not allowed"
    detail = "You have not allowed it at the provider. Nothing was changed."


class OAuthFailed(SigraError):
    """Raised for an answer of the provider that is an error or cannot be trusted.

    Cure: Begin again. If it happens each time, the operator finds the reason in the log.

    Args:
        reason: For the operator: what was wrong, without any secret.
    """

    code, status, title = "oauth_failed", 400, "The provider's answer was not accepted"
    detail = "The provider did not answer as it should. Begin again."

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason


class OAuthUnavailable(SigraError):
    """Raised when the provider cannot be reached, is too slow, or says that it is not available.

    Cure: Try again later.

    Args:
        reason: For the operator.
    """

    code, status, title = "oauth_unavailable", 503, "The provider cannot be reached"
    detail = "The provider does not answer. Try again in a minute."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    @property
    def headers(self) -> Mapping[str, str]:
        return {"retry-after": "60"}


class OAuthSignUpClosed(Refused):
    """Raised when somebody without an account comes from a provider by which no accounts are made.

    Cure: Sign up in another way first, then link the provider's account to it.
    """

    code, title = "oauth_sign_up_closed", "No account"
    detail = "No account belongs to this, and none can be made by it."


class IdentityTaken(Conflict):
    """Raised when an account of a provider is to be linked that another account is linked to.

    Cure: Sign in to the other account and remove it there.
    """

    code = "oauth_identity_taken"
    detail = "This is linked to another account already."


class GrantLost(SigraError):
    """Raised for the application when no access token of a user can be had: none was granted, or it has ended.

    Cure: Have the user sign in with that provider again.
    """

    code, status, title = "oauth_grant_lost", 409, "No access to the provider"
    detail = "Sign in with the provider again."

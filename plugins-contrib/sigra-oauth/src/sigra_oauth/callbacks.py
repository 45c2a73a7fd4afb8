"""What the parameters of a callback say, before anything is asked on their word (RFC 6749, section 4.1.2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from sigra_oauth.errors import OAuthDenied, OAuthFailed, OAuthUnavailable

CODE_LENGTH = 4096
"""Characters; Microsoft's are the longest, with about 1,500."""

DENIED = frozenset({"access_denied"})
UNAVAILABLE = frozenset({"server_error", "temporarily_unavailable"})

SINGLE = ("code", "error", "iss", "state", "user")
"""Parameters that stand there once (RFC 6749, section 3.1)."""

_ERROR = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def read_code(
    parameters: Mapping[str, Sequence[str]], *, issuer: str, names_itself: bool, denied: Collection[str] = ()
) -> str:
    """The code of an answer that is meant for us.

    Args:
        issuer: Who was asked: an answer of anybody else is a mix-up (RFC 9207, section 2.4).
        names_itself: Whether its answers always say whose they are.
        denied: What the provider says, besides `access_denied`, where its user did not allow it.

    Raises:
        OAuthDenied: Its user did not allow it.
        OAuthFailed: It is another answer.
        OAuthUnavailable: The provider says that it cannot now.
    """
    for name in SINGLE:
        if len(parameters.get(name, ())) > 1:
            raise OAuthFailed(f"the answer has {name} more than once")
    told = only(parameters, "iss")
    if told is None and names_itself:
        raise OAuthFailed("the answer does not say whose it is (iss)")
    if told is not None and told != issuer:
        raise OAuthFailed("the answer is of another provider (iss)")
    error = only(parameters, "error")
    if error is not None:
        raise_error(error, denied)
    code = only(parameters, "code")
    if not code or len(code) > CODE_LENGTH or not code.isprintable():
        raise OAuthFailed("the answer has no code")
    return code


def only(parameters: Mapping[str, Sequence[str]], name: str) -> str | None:
    """The value of a parameter; None when it is absent."""
    return next(iter(parameters.get(name, ())), None)


def raise_error(error: str, denied: Collection[str]) -> None:
    """What an `error` of an answer means to whoever signs in (RFC 6749, section 4.1.2.1)."""
    if error in DENIED or error in denied:
        raise OAuthDenied
    if error in UNAVAILABLE:
        raise OAuthUnavailable(f"the provider answered {error}")
    raise OAuthFailed(f"the provider answered {shown(error)}")


def shown(error: object) -> str:
    """An error's code as it may be logged: what is no code could be anything."""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else "an error"

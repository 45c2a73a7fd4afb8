"""Cookies on the wire, read and written by one strict form, so that nothing is a credential by a parser's kindness."""

from __future__ import annotations

import re
from functools import lru_cache

from starlette.types import Scope

from sigra.errors import Malformed
from sigra.http.headers import sent
from sigra.models import Cookie
from sigra.settings import Settings

LIMIT = 4096
"""Octets of name and value together; browsers ignore what is longer (RFC 6265bis, 5.6)."""

_OCTET = rb"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]"
"""`cookie-octet` (RFC 6265, 4.1.1)."""

_VALUE = re.compile(f"{_OCTET.decode()}*")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""`token` (RFC 9110, 5.6.2)."""


def values(scope: Scope, name: str) -> list[str]:
    """Every cookie of exactly that name, over all `Cookie` headers.

    One that is not of our form (quoted, not ASCII, oversized) counts, as the empty text: it is there, and it is bad.
    """
    return [value.decode("ascii") for value in _pairs(name).findall(b";".join(sent(scope, b"cookie")))]


def only_value(scope: Scope, name: str) -> str | None:
    """The value of the one cookie of that name; None when there is none.

    Raises:
        Malformed: There are two, and readers differ on which one counts.
    """
    found = _pairs(name).findall(b";".join(sent(scope, b"cookie")))
    if len(found) > 1:
        raise Malformed("The request carries two cookies of one name.")
    return found[0].decode("ascii") if found else None


@lru_cache(maxsize=64)
def _pairs(name: str) -> re.Pattern[bytes]:
    """Finds the pairs of that name: their values, which are empty where there is none or it is not of our form."""
    # Space and tab only: a browser checks `__Host-` after removing just these, so a server that strips more (0x85,
    # 0xA0 as text) takes a sibling domain's cookie for ours (RFC 6265bis, 5.6).
    # Nothing that was taken is given back (`+`): a header of blanks would be gone through once for each of them.
    ours = rb"[ \t]*+(%b{0,%d}+)[ \t]*+(?=;|\Z)" % (_OCTET, max(0, LIMIT - len(name)))
    return re.compile(rb"(?:^|;)[ \t]*+%b[ \t]*+(?:=(?:%b|[^;]*+))?(?=;|\Z)" % (re.escape(name.encode()), ours))


def set_cookie(cookie: Cookie, settings: Settings) -> str:
    """The value of a `Set-Cookie` header: host-only, not for scripts, not sent along by other sites unless it says so.

    Raises:
        ValueError: A browser would not keep it as it is.
    """
    name = settings.cookie_name(cookie.name)
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(cookie.value) or len(name) + len(cookie.value) > LIMIT:
        raise ValueError(f"the cookie {cookie.name!r} has a name or value that no browser keeps")
    # Browsers drop `SameSite=None` without `Secure`, which they take from localhost too (RFC 6265bis, 5.7).
    secure = ["Secure"] if settings.https or cookie.cross_site else []
    site = "SameSite=None" if cookie.cross_site else "SameSite=Lax"
    return "; ".join([f"{name}={cookie.value}", "Path=/", *secure, "HttpOnly", site, *_age(cookie)])


def _age(cookie: Cookie) -> list[str]:
    if cookie.max_age is None:
        return []
    if cookie.max_age < 0:
        raise ValueError(f"the cookie {cookie.name!r} has a negative age; 0 deletes it")
    if cookie.max_age == 0:
        return ["Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    return [f"Max-Age={cookie.max_age}"]

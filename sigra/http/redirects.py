"""Where a browser may be sent after signing in: a path of this origin, however a browser reads it."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.datastructures import QueryParams

LIMIT = 2048
"""Characters of a target."""

_ALLOWED = "/?#%:@!$&'()*+,;=-._~[]"
"""Beside letters and digits, what a URL may hold as it is (RFC 3986, 2.2 and 2.3)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_ROOTED = re.compile(r"/(?!(?:%0[9ad])*(?:/|%2f|%5c))", re.IGNORECASE)
"""One slash, no more: two begin a host (WHATWG URL, "relative slash state"), also with tab or newline between them.

Encoded ones do not, but servers that decode a path and redirect to it make a host of them.
"""

_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
"""A single-dot or double-dot segment (WHATWG URL, 4.1)."""


def safe_next(target: str | None, base_url: str) -> str | None:
    """The target as a path that is safe in a `Location` header; None when it is not surely one of this origin.

    Taken only in the form in which a browser already sends it, so that parsing has nothing left to change: rooted by
    one slash, without backslash or dot segments in the path, without control characters (a browser drops tab and
    newline). An absolute URL below `base_url` is taken as its path.
    """
    if target is None or _CONTROL.search(target):
        return None
    path = target.removeprefix(base_url)
    if not _ROOTED.match(path) or not _is_plain(re.split(r"[?#]", path, maxsplit=1)[0]):
        return None
    try:
        encoded = quote(path, safe=_ALLOWED)
    except UnicodeEncodeError:
        return None
    return encoded if len(encoded) <= LIMIT else None


def wanted(query: QueryParams) -> str | None:
    """`next` of an address; twice is none, since readers differ on which one counts."""
    targets = query.getlist("next")
    return targets[0] if len(targets) == 1 else None


def _is_plain(path: str) -> bool:
    return "\\" not in path and not any(_DOTS.fullmatch(segment) for segment in path.split("/"))

"""The answers of a sign-in on either face: JSON for programs, a redirect for forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from sigra import answers
from sigra.http import exchange
from sigra.http.cookies import set_cookie
from sigra.http.redirects import safe_next, wanted
from sigra.models import Challenge, Cookie, Issued, Login, timestamp
from sigra.settings import Settings

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
FORM_METHOD, FORM_METHODS = "_method", ("DELETE", "PATCH")
"""The field by which a form names a method that HTML has not."""


@dataclass(frozen=True, slots=True)
class Challenged:
    """A sign-in that waits: its token, the cookie that carries it, what is owed, and what else the answer has."""

    token: str = field(repr=False)
    cookie: str
    owed: tuple[Challenge, ...]
    expires_at: datetime
    lifetime: timedelta
    members: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def body(self) -> Mapping[str, Any]:
        """The 202 answer."""
        kinds: dict[str, list[str]] = {}
        # What somebody demands comes before what only stands in for it.
        for challenge in sorted(self.owed, key=lambda one: one.alternative):
            methods = kinds.setdefault(challenge.kind, [])
            if challenge.method is not None and challenge.method not in methods:
                methods.append(challenge.method)
        answer: answers.Challenged = {
            "status": "challenge",
            "login_token": self.token,
            "challenges": [{"kind": kind, "methods": methods} for kind, methods in kinds.items()],
            "expires_at": timestamp(self.expires_at),
        }
        return {**self.members, **answer}


def is_form(request: HTTPConnection) -> bool:
    """Whether the request is a browser's form post, which wants a redirect or a page."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in FORM_TYPES


def wants_page(connection: HTTPConnection) -> bool:
    """Whether the request is a navigation: a GET that accepts HTML."""
    is_get = connection.scope.get("method") in ("GET", "HEAD")
    return is_get and "text/html" in connection.headers.get("accept", "")


def is_person(request: HTTPConnection) -> bool:
    """Whether somebody looks on: a form was posted, or a page is to be shown."""
    return is_form(request) or wants_page(request)


def target(request: Request) -> str | None:
    """`next` of the form that was posted, else of the address."""
    inside = exchange.typed(request).get("next")
    return inside if isinstance(inside, str) else wanted(request.query_params)


def destination(settings: Settings, wanted: str | None) -> str:
    """Where a browser goes: `wanted` when it is a path of this origin, else home."""
    return safe_next(wanted, settings.base_url) or settings.home


def add_cookies(response: Response, settings: Settings, cookies: Sequence[Cookie]) -> None:
    """Set cookies on an answer, with prefix and attributes."""
    for cookie in cookies:
        response.headers.append("set-cookie", set_cookie(cookie, settings))


def see_other(path: str) -> Response:
    """A redirect after a form post (RFC 9110, section 15.4.4)."""
    return RedirectResponse(path, status_code=303)


def signed_in(
    request: Request,
    settings: Settings,
    login: Login,
    issued: Issued,
    members: Mapping[str, Any],
    drop: Sequence[str],
) -> Response:
    """The answer that carries the credential.

    Args:
        login: Its `next` is a path of this origin, or None.
        members: What else a JSON answer has; none of them takes the place of its own.
        drop: Names of cookies that have done their work.
    """
    response: Response
    if is_person(request):
        response = see_other(login.next or settings.home)
    else:
        response = JSONResponse({**members, "status": "signed_in", "user": login.user.public(), **issued.body})
    add_cookies(response, settings, [*issued.cookies, *(Cookie(name, "", 0) for name in drop)])
    return response


def challenged(request: Request, settings: Settings, result: Challenged) -> Response:
    """The answer that says what is still owed; the token comes in a cookie and, for JSON, in the body."""
    response: Response
    if is_person(request):
        response = see_other(f"{settings.mount_path}/login/challenge")
    else:
        response = JSONResponse(result.body(), status_code=202)
    cookie = Cookie(result.cookie, result.token, int(result.lifetime.total_seconds()))
    add_cookies(response, settings, [cookie])
    return response


def with_cookies_of(answer: Response, shown: Response) -> Response:
    """A page in place of an answer, with the cookies of that."""
    for cookie in answer.headers.getlist("set-cookie"):
        shown.headers.append("set-cookie", cookie)
    return shown


def signed_out(request: Request, settings: Settings, drop: Sequence[str]) -> Response:
    """The same answer with or without a session.

    Args:
        drop: Names of the cookies to delete.
    """
    return _done(request, settings, [Cookie(name, "", 0) for name in drop])


def renewed(
    request: Request,
    settings: Settings,
    issued: Sequence[Issued],
    response: Response | None = None,
    next: str | None = None,
) -> Response:
    """The answer that carries the present session's new secret.

    Args:
        response: The answer; one that says nothing else when omitted.
        next: Where a browser goes on to.
    """
    return _done(request, settings, [cookie for one in issued for cookie in one.cookies], response, next)


def _done(
    request: Request,
    settings: Settings,
    cookies: Sequence[Cookie],
    response: Response | None = None,
    next: str | None = None,
) -> Response:
    if response is None:
        on = destination(settings, next or target(request))
        response = see_other(on) if is_person(request) else Response(status_code=204)
    add_cookies(response, settings, cookies)
    return response

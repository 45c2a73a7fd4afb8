"""Errors as answers for programs (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response

from sigra.answers import Problem
from sigra.errors import BEARER, SigraError, ValidationFailed

MEDIA_TYPE = "application/problem+json"


def problem(error: SigraError, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to an error: what its class says, never what the request said.

    Args:
        status: Instead of the error's own.
        headers: Over the error's own.
    """
    status = error.status if status is None else status
    return Response(
        json.dumps(_members(error, status)),
        status_code=status,
        headers=_headers(status, {**error.headers, **(headers or {})}),
        media_type=MEDIA_TYPE,
    )


def _members(error: SigraError, status: int) -> Problem:
    members: Problem = {
        "type": f"urn:sigra:error:{error.code}",
        "title": error.title,
        "status": status,
        "code": error.code,
        "detail": error.detail,
    }
    if isinstance(error, ValidationFailed):
        members["errors"] = [{"field": e.field, "code": e.code, "message": e.message} for e in error.errors]
    return members


def _headers(status: int, given: Mapping[str, str]) -> dict[str, str]:
    headers = {"cache-control": "no-store"} | {name.lower(): value for name, value in given.items()}
    if status == 401:
        # Every 401 names a scheme (RFC 9110, 15.5.2); this one opens no dialog in browsers.
        headers.setdefault("www-authenticate", BEARER)
    return headers

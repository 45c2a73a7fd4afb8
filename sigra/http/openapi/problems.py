"""Errors in the document: one response a status, with the codes behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sigra import errors
from sigra.answers import HTML
from sigra.errors import ConfigurationError, SigraError
from sigra.http.openapi.face import Face, header, phrase
from sigra.http.problems import MEDIA_TYPE

CODES = "x-codes"
"""The stable codes of the errors behind a problem."""

_HEADERS = {
    401: {"WWW-Authenticate": "How to prove who asks (RFC 9110, section 11.6.1)."},
    405: {"Allow": "The methods that the path knows (RFC 9110, section 10.2.1)."},
    429: {"Retry-After": "Seconds until another try can succeed (RFC 9110, section 10.2.3)."},
    503: {"Retry-After": "Seconds after which another try is sensible (RFC 9110, section 10.2.3)."},
}


def reference(status: int) -> dict[str, str]:
    """What an operation says of an error."""
    return {"$ref": f"#/components/responses/{_name(status)}"}


def responses(face: Face, schema: Mapping[str, Any], declared: set[int]) -> dict[str, Any]:
    """The responses that are referred to.

    Args:
        schema: Of a problem.
        declared: Statuses that routes name, whatever stands behind them.
    """
    statuses = sorted(declared | {error.status for error in _errors(face)})
    return {_name(status): _response(status, face, schema) for status in statuses}


def refusing(face: Face) -> Iterator[int]:
    """The statuses of plugins' own refusals, which may answer any route."""
    return (error.status for error in face.errors if issubclass(error, errors.Refused))


def _name(status: int) -> str:
    return f"Problem{status}"


def _errors(face: Face) -> Iterator[type[SigraError]]:
    for one in (*vars(errors).values(), *face.errors):
        if isinstance(one, type) and issubclass(one, SigraError) and one not in (SigraError, ConfigurationError):
            yield one


def _response(status: int, face: Face, schema: Mapping[str, Any]) -> dict[str, Any]:
    codes = sorted({error.code for error in _errors(face) if error.status == status})
    # Codes are no enumeration: a client made today goes on when a plugin brings another tomorrow.
    content: dict[str, Any] = {MEDIA_TYPE: {"schema": schema, CODES: codes}}
    if face.pages:
        content[HTML] = {"schema": {"type": "string"}}
    told = f"{phrase(status)}: {', '.join(codes)}." if codes else phrase(status)
    headers = {name: header(text) for name, text in _HEADERS.get(status, {}).items()}
    return {"description": told, "content": content} | ({"headers": headers} if headers else {})

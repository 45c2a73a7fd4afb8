"""What the document says beside the routes, and what every part of it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from http.client import responses
from typing import Any, NamedTuple

from sigra.errors import SigraError


class Face(NamedTuple):
    """What the document says beside the routes.

    Args:
        server: The mount path's URL.
        cookies: Names, as sent, of the cookies that tell who asks.
        bearer: Whether some plugin takes bearer credentials.
        pages: Whether some plugin answers errors by pages.
        errors: The classes of errors that plugins bring.
    """

    server: str
    cookies: Sequence[str]
    bearer: bool
    pages: bool
    errors: Sequence[type[SigraError]]

    def requirements(self, *, bearer: bool) -> list[dict[str, list[str]]]:
        """The ways to say who asks, any one of which will do."""
        names = [*self.cookies, *(["bearer"] if bearer and self.bearer else [])]
        return [{name: []} for name in names]

    def schemes(self) -> dict[str, Any]:
        """The same ways, described."""
        schemes: dict[str, Any] = {name: {"type": "apiKey", "in": "cookie", "name": name} for name in self.cookies}
        return schemes | ({"bearer": {"type": "http", "scheme": "bearer"}} if self.bearer else {})


def phrase(status: int) -> str:
    """What a status is called."""
    return responses.get(status, f"Status {status}")


def header(text: str) -> dict[str, Any]:
    """A header that an answer always has."""
    return {"description": text, "required": True, "schema": {"type": "string"}}

"""The shapes of answers that several routes give, declared as `Route(answers={200: …})`.

A type checker holds the handlers to them, and the OpenAPI document is made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

HTML = "text/html"

Identifier = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, section 5.6, in UTC with `Z`."""


class FieldProblem(TypedDict):
    """What is wrong with one field."""

    field: str
    code: str
    message: str


class Problem(TypedDict):
    """An error (RFC 9457); programs go by its `code`."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: NotRequired[list[FieldProblem]]


class PublicUser(TypedDict):
    """An account, as its user may see it."""

    id: Identifier
    email: str | None
    email_verified: bool
    name: str | None


class PublicSession(TypedDict):
    """A session, as its user may see it; `unfamiliar` when neither browser nor network were known at its sign-in."""

    id: Identifier
    created_at: Timestamp
    last_used_at: Timestamp
    expires_at: Timestamp
    user_agent: str | None
    ip: str | None
    current: bool
    unfamiliar: bool


class SignedIn(TypedDict):
    """A sign-in that is complete; what the carrier adds stands beside."""

    status: Literal["signed_in"]
    user: PublicUser
    session: NotRequired[PublicSession]


class Owed(TypedDict):
    """A kind of challenge, met by any one of its methods."""

    kind: str
    methods: list[str]


class Challenged(TypedDict):
    """A sign-in that waits for further proofs."""

    status: Literal["challenge"]
    login_token: str
    challenges: list[Owed]
    expires_at: Timestamp


SIGN_IN: Mapping[int, Any] = MappingProxyType({200: SignedIn, 202: Challenged, 303: None, 409: Problem})
"""What a route that ends in `auth.sign_in` answers."""

DONE: Mapping[int, Any] = MappingProxyType({204: None, 303: None})
"""What a route answers that has nothing to say: to a program, and to a form."""

"""What a sign-up sends and is told, and the address in it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from sigra.addresses import canonical_email, typed_email
from sigra.errors import FieldError, ValidationFailed
from sigra.plugins.account.profile import Name


class SignUpBody(BaseModel):
    """The body of a sign-up: address at most 254 characters (RFC 5321, section 4.5.3.1), password at most 1,024."""

    email: Annotated[str, Field(max_length=254)]
    password: Annotated[str | None, Field(max_length=1024, repr=False)] = None
    name: Name = None
    next: Annotated[str | None, Field(max_length=2048)] = None


class SignUpStarted(TypedDict):
    """A sign-up that waits for its address to be proven, whether or not that has an account."""

    status: Literal["verification_sent"]
    signup_token: str


def typed(text: str) -> str:
    """The address as typed.

    Raises:
        ValidationFailed: It is none.
    """
    try:
        return typed_email(text)
    except ValueError:
        raise ValidationFailed([FieldError("email", "invalid_email", "This is not an e-mail address.")]) from None


def folded(text: str) -> str | None:
    """The one form of an address; None for text that is none."""
    try:
        return canonical_email(text)
    except ValueError:
        return None

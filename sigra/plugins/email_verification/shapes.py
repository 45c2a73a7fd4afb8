"""What proves an address, as it arrives."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator
from typing_extensions import TypedDict


def _given(text: Any) -> Any:
    """A field of a form that was left empty says nothing."""
    return None if text == "" else text


def _digits(text: Any) -> Any:
    """A code without the spaces and hyphens that people read into it."""
    return _given(text.replace(" ", "").replace("-", "")) if isinstance(text, str) else text


Address = Annotated[str, Field(max_length=254)]
Secret = Annotated[str | None, Field(max_length=512, repr=False), BeforeValidator(_given)]


class Proof(BaseModel):
    """The body of a proof: the link's token, or the mail's code with the address; and what shows who holds it.

    Args:
        password: Of the sign-up, or of the account, when the mail is read in another browser.
        signup_token: What the browser got that signed up; its cookie when omitted.
        without_password: Go on with nothing of what was set before the proof.
    """

    token: Secret = None
    email: Annotated[Address | None, BeforeValidator(_given)] = None
    code: Annotated[str | None, Field(max_length=32, repr=False), BeforeValidator(_digits)] = None
    password: Annotated[str | None, Field(max_length=1024, repr=False), BeforeValidator(_given)] = None
    signup_token: Secret = None
    login_token: Secret = None
    without_password: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.token is None and (self.email is None or self.code is None):
            raise ValueError("a token, or an address and its code")
        return self


class Again(BaseModel):
    """The body of a request for another mail."""

    email: Address


class Sent(TypedDict):
    """What is answered to every request for a mail."""

    status: Literal["sent"]

"""What a sign-in by password sends: what others are asked about, too."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field


class Credentials(BaseModel):
    """The body of a sign-in: address at most 254 characters (RFC 5321, section 4.5.3.1), password at most 1,024."""

    email: Annotated[str, Field(max_length=254)]
    password: Annotated[str, Field(max_length=1024, repr=False)]
    remember: bool = False
    next: Annotated[str | None, Field(max_length=2048)] = None
    signup_token: Annotated[str | None, Field(max_length=512, repr=False)] = None

"""Sign in with Apple: a client secret that is signed for each request, and a name that comes by form, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from joserfc import jwt
from joserfc.jwk import ECKey

from sigra_oauth.accounts import NAME_LENGTH, cleaned, walk
from sigra_oauth.callbacks import only
from sigra_oauth.discovery import Metadata
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.outbound import json_of
from sigra_oauth.provider import Answer, Asked, Tokens
from sigra_oauth.providers.openid import OpenID

SECRET_LIFETIME = timedelta(minutes=5)
"""Apple takes up to six months; one is made for each request."""

FORM_LENGTH = 2048
"""Characters of the field `user`."""


class Apple(OpenID):
    """https://developer.apple.com/documentation/signinwithapplerestapi."""

    def authentication(self, metadata: Metadata) -> str:
        return "client_secret_post"

    def client_secret(self) -> str | None:
        """Signed by ES256 ("Creating a client secret")."""
        registration = self.registration
        assert registration.private_key is not None
        now = int(self.clock().timestamp())
        claims = {
            "iss": registration.team_id,
            "sub": registration.client_id,
            "aud": self.preset.issuer,
            "iat": now,
            "exp": now + int(SECRET_LIFETIME.total_seconds()),
        }
        key = ECKey.import_key(registration.private_key.get_secret_value())
        return jwt.encode({"alg": "ES256", "kid": registration.key_id}, claims, key)

    async def identified(
        self, metadata: Metadata, asked: Asked, parameters: Mapping[str, Sequence[str]], tokens: Tokens
    ) -> Answer:
        """The name is taken from the form: anybody could have written it there, and nothing is decided by it."""
        answer = await super().identified(metadata, asked, parameters, tokens)
        return replace(answer, claims=replace(answer.claims, name=read_name(only(parameters, "user"))))


def read_name(user: str | None) -> str | None:
    """The name in the form, which Apple sends with a person's first sign-in alone."""
    if user is None or len(user) > FORM_LENGTH:
        return None
    try:
        told = json_of(user, "the field user")
    except OAuthFailed:
        return None
    parts = [text for one in ("firstName", "lastName") if isinstance(text := walk(told, f"name.{one}"), str)]
    return cleaned(" ".join(parts), NAME_LENGTH)

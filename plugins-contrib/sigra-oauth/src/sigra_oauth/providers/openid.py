"""An OpenID provider (OpenID Connect Core 1.0): says where it is, and signs who somebody is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from authlib.common.urls import add_params_to_uri

from sigra_oauth import id_tokens, logout_tokens
from sigra_oauth.accounts import walk
from sigra_oauth.configuring import Registration
from sigra_oauth.discovery import ENDPOINTS, Discovery, Metadata
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.id_tokens import Expected, check_id_token
from sigra_oauth.keys import Keys
from sigra_oauth.logout_tokens import check_logout_token, read_session
from sigra_oauth.outbound import Outbound
from sigra_oauth.provider import Answer, Asked, LoggedOut, Tokens
from sigra_oauth.providers.oauth2 import OAuth2
from sigra_oauth.signed import Signed, opened

AGAIN = {"prompt": "login", "max_age": "0"}


class OpenID(OAuth2):
    """One issuer."""

    def __init__(self, registration: Registration, outbound: Outbound, clock: Callable[[], datetime]) -> None:
        super().__init__(registration, outbound, clock)
        own = {one: url for one in ENDPOINTS if (url := getattr(self.preset, one)) is not None}
        self.discovery = Discovery(
            outbound,
            clock,
            issuer=self.preset.issuer,
            announced=self.announced_issuer(),
            overrides=own,
            development=registration.development,
        )
        self.keys = Keys(outbound, self.discovery, clock)

    # What another kind of provider does differently

    def announced_issuer(self) -> str:
        """The issuer that its metadata name."""
        return self.preset.issuer

    def issuer_of(self, claims: Mapping[str, Any]) -> str:
        """The issuer that a token of those claims must name."""
        return self.preset.issuer

    async def metadata(self) -> Metadata:
        return await self.discovery.metadata()

    def authentication(self, metadata: Metadata) -> str:
        """As announced; where nothing is, `client_secret_basic` (Discovery 1.0, section 3)."""
        announced = metadata.authentication or {"client_secret_basic"}
        usual = "client_secret_basic" if "client_secret_basic" in announced else "client_secret_post"
        return self.preset.authentication or usual

    def again(self) -> Mapping[str, str]:
        """As the standard has it (Core 1.0, section 3.1.2.1)."""
        return AGAIN if self.preset.again is None else self.preset.again

    # The dance

    async def authorization_url(self, asked: Asked) -> str:
        url = await super().authorization_url(asked)
        return str(add_params_to_uri(url, [("nonce", asked.nonce)]))

    async def identified(
        self, metadata: Metadata, asked: Asked, parameters: Mapping[str, Sequence[str]], tokens: Tokens
    ) -> Answer:
        if tokens.id_token is None:
            raise OAuthFailed("there is no ID token in the answer")
        token = await opened(tokens.id_token, self.keys, types=id_tokens.TYPES, announced=metadata.algorithms)
        issuer = self.issuer_of(token.claims)
        subject = check_id_token(token, self._expected(issuer, asked, parameters, tokens))
        account = await self._account(metadata, tokens, token, subject)
        claims = replace(self.claims_of(account), issuer=issuer, subject=subject)
        return Answer(claims, tokens, read_session(token.claims.get("sid")))

    def _expected(self, issuer: str, asked: Asked, parameters: Mapping[str, Sequence[str]], tokens: Tokens) -> Expected:
        return Expected(
            issuer=issuer,
            client_id=self.registration.client_id,
            nonce=asked.nonce,
            access_token=tokens.access_token,
            code=parameters["code"][0],
            now=self.clock(),
            proven_since=asked.begun_at if asked.again else None,
            lenient=not self.preset.auth_time,
        )

    async def _account(self, metadata: Metadata, tokens: Tokens, token: Signed, subject: str) -> Mapping[str, Any]:
        """The ID token, and what is asked for besides (Core 1.0, section 5.3.2)."""
        if metadata.userinfo_endpoint is None or not self._asks(token.claims):
            return token.claims
        told = await self.account(metadata, tokens)
        if told.get("sub") != subject:
            raise OAuthFailed("the account in the answer is another's (sub)")
        # An address counts as verified by the word of the document that it stands in.
        paths = (self.preset.email, *self.preset.verified)
        apart = {*paths, *(path.split(".")[0] for path in paths)}
        return {**{name: value for name, value in token.claims.items() if name not in apart}, **told}

    def _asks(self, claims: Mapping[str, Any]) -> bool:
        when = self.preset.userinfo
        return when == "always" or (when == "lacking" and walk(claims, self.preset.email) is None)

    # Afterwards

    @property
    def ends_sessions(self) -> bool:
        known = self.discovery.last
        return known is None or known.end_session_endpoint is not None

    async def logout_url(self, id_token: str | None, back: str) -> str | None:
        """Where a browser ends its session there (RP-Initiated Logout 1.0, section 2)."""
        metadata = await self.metadata()
        if metadata.end_session_endpoint is None:
            return None
        asked = {"client_id": self.registration.client_id, "post_logout_redirect_uri": back, "id_token_hint": id_token}
        return str(
            add_params_to_uri(metadata.end_session_endpoint, [(k, v) for k, v in asked.items() if v is not None])
        )

    async def logged_out(self, logout_token: str) -> LoggedOut:
        """What a logout token says, verified (Back-Channel Logout 1.0, section 2.6)."""
        metadata = await self.metadata()
        token = await opened(logout_token, self.keys, types=logout_tokens.TYPES, announced=metadata.algorithms)
        issuer, now = self.issuer_of(token.claims), self.clock()
        return check_logout_token(token, issuer=issuer, client_id=self.registration.client_id, now=now)

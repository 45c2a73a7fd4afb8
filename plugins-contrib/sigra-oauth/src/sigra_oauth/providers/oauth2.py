"""A provider of plain OAuth 2.0 (RFC 6749): who somebody is has to be asked, with the token that was granted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from authlib.integrations.base_client import OAuthError

from sigra_oauth.accounts import read_claims, read_primary
from sigra_oauth.callbacks import read_code, shown
from sigra_oauth.configuring import Registration
from sigra_oauth.discovery import ENDPOINTS, Metadata
from sigra_oauth.errors import GrantLost, OAuthFailed, OAuthUnavailable
from sigra_oauth.exchanging import TokenClient, error_of, read_tokens
from sigra_oauth.outbound import Outbound
from sigra_oauth.provider import Answer, Asked, Claims, LoggedOut, ResponseMode, Tokens

LOST = frozenset({"invalid_grant"})
"""What says that a refresh token has ended (RFC 6749, section 5.2)."""

ENDED = frozenset({"invalid_token", "invalid_grant"})
"""What some answer where a token that is to be revoked is none any more."""


class OAuth2:
    """One provider, without any state of a request.

    Args:
        clock: UTC.
    """

    def __init__(self, registration: Registration, outbound: Outbound, clock: Callable[[], datetime]) -> None:
        self.registration, self.outbound, self.clock = registration, outbound, clock
        self.preset = registration.preset

    @property
    def name(self) -> str:
        return self.registration.name

    @property
    def label(self) -> str:
        return self.registration.label

    @property
    def response_mode(self) -> ResponseMode:
        return self.preset.response_mode

    @property
    def sign_up(self) -> bool:
        return self.registration.sign_up

    @property
    def keeps_tokens(self) -> bool:
        return self.registration.keep_tokens

    # What another kind of provider does differently

    async def metadata(self) -> Metadata:
        """Where it is."""
        return Metadata(self.preset.issuer, **{one: getattr(self.preset, one) for one in ENDPOINTS})

    def client_secret(self) -> str | None:
        """What the client proves itself with."""
        secret = self.registration.client_secret
        return None if secret is None else secret.get_secret_value()

    def authentication(self, metadata: Metadata) -> str:
        """How it does; `client_secret_basic` is what every provider takes (RFC 6749, section 2.3.1)."""
        return self.preset.authentication or "client_secret_basic"

    def parameters(self, asked: Asked) -> Mapping[str, str]:
        """Of the authorization request, besides those of every one."""
        form = {"response_mode": "form_post"} if self.response_mode == "form_post" else {}
        again = {**self.again()} if asked.again else {}
        return {**self.registration.parameters, **again, **form}

    def again(self) -> Mapping[str, str]:
        """What asks a provider to have its user prove it again."""
        return self.preset.again or {}

    def verifier(self, asked: Asked) -> str | None:
        """The code verifier (RFC 7636): sent to all but those that refuse it."""
        return asked.code_verifier if self.preset.pkce else None

    async def account(self, metadata: Metadata, tokens: Tokens) -> Mapping[str, Any]:
        """The document that says whose tokens they are."""
        return await self.userinfo(metadata.at("userinfo_endpoint"), tokens)

    def claims_of(self, account: Mapping[str, Any]) -> Claims:
        """What that document means."""
        return read_claims(self.preset, account)

    # The dance

    async def authorization_url(self, asked: Asked) -> str:
        """Where the browser is sent."""
        metadata = await self.metadata()
        async with self.client(metadata) as client:
            url, _ = client.create_authorization_url(
                metadata.at("authorization_endpoint"),
                state=asked.state,
                code_verifier=self.verifier(asked),
                redirect_uri=asked.redirect_uri,
                scope=" ".join(self.preset.scopes) or None,
                **self.parameters(asked),
            )
        return str(url)

    async def answer(self, asked: Asked, parameters: Mapping[str, Sequence[str]]) -> Answer:
        """What a callback says, all checked."""
        metadata = await self.metadata()
        code = self.code(metadata, parameters)
        tokens = read_tokens(await self.exchange(metadata, asked, code), self.clock)
        return await self.identified(metadata, asked, parameters, tokens)

    def code(self, metadata: Metadata, parameters: Mapping[str, Sequence[str]]) -> str:
        """The code of a callback that is this provider's."""
        return read_code(
            parameters, issuer=metadata.issuer, names_itself=metadata.names_itself, denied=self.preset.denied
        )

    async def identified(
        self, metadata: Metadata, asked: Asked, parameters: Mapping[str, Sequence[str]], tokens: Tokens
    ) -> Answer:
        """Whose tokens they are."""
        account = await self.account(metadata, tokens)
        return Answer(await self.with_email(self.claims_of(account), tokens), tokens)

    async def with_email(self, claims: Claims, tokens: Tokens) -> Claims:
        """With the address, where that has to be asked for on its own."""
        emails = self.preset.emails
        if emails is None:
            return claims
        told = await self.outbound.get_json(emails.endpoint, self.headers(tokens))
        email, verified = read_primary(emails, told)
        return replace(claims, email=email, email_verified=verified)

    async def exchange(self, metadata: Metadata, asked: Asked, code: str) -> Mapping[str, Any]:
        """What a code is worth (RFC 6749, section 4.1.3)."""
        try:
            async with self.client(metadata) as client:
                told: Mapping[str, Any] = await client.fetch_token(
                    metadata.at("token_endpoint"),
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=asked.redirect_uri,
                    code_verifier=self.verifier(asked),
                )
        except OAuthError as error:
            raise OAuthFailed(f"the code was answered {shown(error.error)}") from None
        return told

    async def userinfo(self, url: str, tokens: Tokens) -> Mapping[str, Any]:
        """A document that is told to whoever has the token."""
        told = await self.outbound.get_json(url, self.headers(tokens), self.preset.userinfo_method)
        if not isinstance(told, dict):
            raise OAuthFailed("the account in the answer is no object")
        return told

    def headers(self, tokens: Tokens) -> Mapping[str, str]:
        """Of a request in its user's name (RFC 6750, section 2.1)."""
        return {**self.preset.headers, "authorization": f"Bearer {tokens.access_token}"}

    def client(self, metadata: Metadata) -> TokenClient:
        """A client for one conversation at the token endpoint, or at one like it."""
        authentication = self.authentication(metadata)
        return TokenClient(self.outbound, self.registration.client_id, self.client_secret(), authentication)

    # Afterwards

    async def refresh(self, tokens: Tokens) -> Tokens:
        """New tokens (RFC 6749, section 6)."""
        if tokens.refresh_token is None:
            raise GrantLost
        metadata = await self.metadata()
        try:
            async with self.client(metadata) as client:
                await client.refresh_token(metadata.at("token_endpoint"), refresh_token=tokens.refresh_token)
        except OAuthError as error:
            if error.error in LOST or error.error in self.preset.lost:
                raise GrantLost from None
            # Whatever else is wrong, with us or with the provider, may be put right, and the token still be good.
            raise OAuthUnavailable(f"the refresh token was answered {shown(error.error)}") from None
        return read_tokens(client.told, self.clock, before=tokens)

    async def revoke(self, token: str, kind: Literal["access_token", "refresh_token"]) -> None:
        """End a token there (RFC 7009)."""
        metadata = await self.metadata()
        if metadata.revocation_endpoint is None:
            return
        async with self.client(metadata) as client:
            answer = await client.revoke_token(metadata.revocation_endpoint, token=token, token_type_hint=kind)
        # Some say of a token that has ended already what the standard has no error for (RFC 7009, section 2.2).
        if answer.status_code != 200 and error_of(answer.content) not in ENDED:
            raise OAuthFailed(f"the revocation was answered {answer.status_code}")

    @property
    def ends_sessions(self) -> bool:
        """Never: there are no sessions in OAuth 2.0."""
        return False

    async def logout_url(self, id_token: str | None, back: str) -> str | None:
        """Nowhere: there are no sessions in OAuth 2.0."""
        return None

    async def logged_out(self, logout_token: str) -> LoggedOut:
        """Never: there are no logout tokens in OAuth 2.0."""
        raise OAuthFailed("the provider is no OpenID provider, and signs nobody out")

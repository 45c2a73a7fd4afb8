"""The plugin's options."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from sigra_oauth.addresses import network_of
from sigra_oauth.presets import ClientAuthentication


def _words(value: object) -> object:
    """Scopes as a list: a text may have several, separated by spaces or commas."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    return [word for text in texts for word in text.replace(",", " ").split()]


def _networks(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            network_of(name)
        except ValueError:
            raise ValueError("one is no network: write it as in 10.0.0.0/8, without bits behind the prefix") from None
    return names


Scopes = Annotated[tuple[str, ...], BeforeValidator(_words)]


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a provider's name is in its URLs: write it in lower case letters, digits, - and _, at most 32"
        )
    return name


_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)

ProviderName = Annotated[str, AfterValidator(_named)]
"""Of routes and rows."""


class ProviderOptions(BaseModel):
    """One provider: where it is (`preset`, `issuer`, or the endpoints of one of OAuth 2.0 alone), and who we are there.

    Args:
        preset: A provider that is known: `google`, `github`, …
        issuer: Of any other OpenID provider, as its tokens name it; or the name of one with a preset's ways at other
            endpoints, or of one of OAuth 2.0 alone where several are on one host.
        client_id: As the provider gave it.
        client_secret: As the provider gave it; not with Apple, nor with `authentication` `none`.
        authentication: How the client proves itself, where discovery does not say; `none` without a secret.
        label: What people know it by; the preset's, or the name.
        scopes: What is asked for, in place of the preset's: a list, or words.
        parameters: Of the authorization request, besides the standard's.
        sign_up: Whether accounts are made for who comes from it.
        keep_tokens: Whether the application wants its access tokens; a preset then asks for a refresh token, too.
        tenant: Microsoft's: `common`, `organizations`, `consumers`, or the id of one.
        domain: Where one's own Okta, Auth0 or Keycloak is: a host, or a URL.
        team_id: Apple's.
        key_id: Apple's.
        private_key: Apple's, as PEM.
        verified_claim: Dotted path to what must be `true` for an address to count as verified.
        subject_claim: Dotted path to what identifies an account and never changes; of a plain OAuth 2.0 provider.
        email_claim: Dotted path to the address.
        name_claim: Dotted path to the name.
        authorization_endpoint: Where browsers are sent.
        token_endpoint: Where codes are exchanged.
        userinfo_endpoint: Where it is asked who somebody is.
        emails_endpoint: Where its addresses are, with a preset that asks for them on their own.
        revocation_endpoint: Where tokens are ended (RFC 7009).
        jwks_uri: Where the keys of an OpenID provider are.
        end_session_endpoint: Where browsers sign out there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    preset: str | None = None
    issuer: str | None = None
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    authentication: ClientAuthentication | None = None
    label: Annotated[str, Field(max_length=64)] | None = None
    scopes: Scopes | None = None
    parameters: dict[str, str] = Field(default_factory=dict)
    sign_up: bool = True
    keep_tokens: bool = False
    tenant: str | None = None
    domain: str | None = None
    team_id: str | None = None
    key_id: str | None = None
    private_key: SecretStr | None = None
    verified_claim: str | None = None
    subject_claim: str | None = None
    email_claim: str | None = None
    name_claim: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    emails_endpoint: str | None = None
    revocation_endpoint: str | None = None
    jwks_uri: str | None = None
    end_session_endpoint: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        unknown = sorted(set(value) - cls.model_fields.keys()) if isinstance(value, dict) else []
        for name in unknown:
            nearest = difflib.get_close_matches(str(name), cls.model_fields, n=1)
            raise ValueError(f"{name} is not an option: {f'write {nearest[0]}' if nearest else 'remove it'}")
        return value


class Options(BaseModel):
    """Which providers people may come from, and where those may be.

    Args:
        providers: By the name of their routes (lower case letters, digits, `-` and `_`, at most 32); in the
            environment JSON, as in `{"google": {"preset": "google", "client_id": "…", "client_secret": "…"}}`.
        allow_private: Hosts, addresses and networks that a provider may have although they are not public, as in
            `sso.internal` or `10.0.0.0/8`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    providers: dict[ProviderName, ProviderOptions] = Field(default_factory=dict)
    allow_private: Annotated[tuple[str, ...], AfterValidator(_networks)] = ()

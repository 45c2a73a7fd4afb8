"""Providers as data: `presets.toml`, read and checked; where a provider is, and what its words mean."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

ClientAuthentication = Literal["client_secret_basic", "client_secret_post", "none"]
PresetAuthentication = Literal["client_secret_basic", "client_secret_post", "apple"]


class Emails(BaseModel):
    """A list of addresses that has to be asked for on its own.

    Args:
        endpoint: Where; asked like the account itself.
        items: Dotted path to the list in the answer; empty when the answer is the list.
        address: Dotted path in an entry.
        verified: Dotted path in an entry to what must be `true`.
        primary: Dotted path in an entry to what is `true` for the one to take; others are not looked at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str
    items: str = ""
    address: str = "email"
    verified: str = "verified"
    primary: str = "primary"


class Preset(BaseModel):
    """One provider.

    Args:
        kind: `openid` has ID tokens and says where it is by discovery; `oauth2` is asked who somebody is.
        label: What people know it by.
        issuer: Its issuer, or the fixed name of one that is none; `{domain}` and `{tenant}` are options.
        scopes: What is asked for.
        subject: Dotted path to what identifies an account and never changes; of an `openid` provider always `sub`.
        email: Dotted path to the address; empty when it has none.
        verified: Dotted paths to what must all be `true` for the address to count as verified; empty: it never does.
        name: Dotted paths to the parts of the name.
        emails: Where the addresses are when they are not with the account.
        userinfo: Whether the account is asked for `always`, where the ID token lacks the address, or `never`.
        userinfo_method: How.
        headers: Of the requests for the account.
        parameters: Of the authorization request, besides the standard's.
        offline_scopes: What is asked for besides where tokens are kept.
        offline_parameters: Of the authorization request, where tokens are kept.
        authentication: How the client proves itself; by discovery when not said.
        response_mode: How the answer comes.
        pkce: False for a provider that refuses whoever sends PKCE (RFC 7636); all others are sent it.
        again: Of the authorization request where its user must prove it again; the standard's when not said.
        auth_time: Whether it says when its user last did (`auth_time`).
        denied: What it answers, besides `access_denied`, where its user did not allow it.
        lost: What it answers, besides `invalid_grant`, to a refresh token that has ended.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["openid", "oauth2"]
    label: str
    issuer: str
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    jwks_uri: str | None = None
    end_session_endpoint: str | None = None
    subject: str = "sub"
    email: str = "email"
    verified: tuple[str, ...] = ("email_verified",)
    name: tuple[str, ...] = ("name",)
    emails: Emails | None = None
    userinfo: Literal["always", "lacking", "never"] = "lacking"
    userinfo_method: Literal["GET", "POST"] = "GET"
    headers: Mapping[str, str] = Field(default_factory=dict)
    parameters: Mapping[str, str] = Field(default_factory=dict)
    offline_scopes: tuple[str, ...] = ()
    offline_parameters: Mapping[str, str] = Field(default_factory=dict)
    authentication: ClientAuthentication | PresetAuthentication | None = None
    response_mode: Literal["query", "form_post"] = "query"
    pkce: bool = True
    again: Mapping[str, str] | None = None
    auth_time: bool = True
    denied: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def presets() -> Mapping[str, Preset]:
    """All presets, by name."""
    text = (Path(__file__).parent / "presets.toml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Preset]).validate_python(tomllib.loads(text))

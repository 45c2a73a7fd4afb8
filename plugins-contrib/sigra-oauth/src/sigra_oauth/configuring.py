"""From options to registrations, or an error at start that names the option and the cure."""

from __future__ import annotations

import difflib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import SecretStr

from sigra import ConfigurationError
from sigra_oauth.discovery import ENDPOINTS
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.options import ProviderOptions
from sigra_oauth.outbound import checked
from sigra_oauth.presets import Preset, presets

REQUIRED = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
"""Of a provider that is no OpenID provider."""

RESERVED = (
    *("client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce"),
    *("code_challenge", "code_challenge_method", "request", "request_uri"),
)
"""Parameters of the authorization request that are not an operator's to choose."""

TENANTS = ("common", "organizations", "consumers")

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Registration:
    """Who we are at one provider, and what the provider is: its preset, changed by the options.

    Args:
        key: What signs Apple's client secrets.
        tenant: Microsoft's.
    """

    name: str
    preset: Preset
    client_id: str
    client_secret: SecretStr | None = None
    label: str = ""
    sign_up: bool = True
    keep_tokens: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    team_id: str | None = None
    key_id: str | None = None
    private_key: SecretStr | None = None
    tenant: str | None = None
    development: bool = False


def register(name: str, options: ProviderOptions, *, development: bool = False) -> Registration:
    """One provider's registration.

    Raises:
        ConfigurationError: Its options do not go together; names the option and the cure.
    """
    chosen = _Chosen(name, options, development)
    return Registration(
        name=name,
        preset=chosen.preset(),
        client_id=options.client_id,
        client_secret=chosen.secret(),
        label=options.label or chosen.base.label or name,
        sign_up=options.sign_up,
        keep_tokens=options.keep_tokens,
        parameters=chosen.parameters(),
        team_id=options.team_id,
        key_id=options.key_id,
        private_key=options.private_key,
        tenant=options.tenant,
        development=development,
    )


class _Chosen:
    """What one provider's options say together."""

    def __init__(self, name: str, options: ProviderOptions, development: bool) -> None:
        self.name, self.options, self.development = name, options, development
        self.base = self._base()

    def _base(self) -> Preset:
        options = self.options
        if options.preset is not None:
            return self._known(options.preset)
        missing = [one for one in REQUIRED if getattr(options, one) is None]
        if options.issuer is not None and (missing or options.subject_claim is None):
            return Preset(kind="openid", label="", issuer=options.issuer)
        if len(missing) == len(REQUIRED):
            raise self._wrong("issuer", "set it (of an OpenID provider), or preset (of a known one)")
        if missing:
            raise self._wrong(missing[0], "a provider without issuer and preset needs it: set it")
        if options.subject_claim is None:
            raise self._wrong("subject_claim", "set it to what identifies an account there and never changes")
        issuer = options.issuer or _origin(options.authorization_endpoint or "")
        return Preset(kind="oauth2", label="", issuer=issuer, scopes=(), verified=(), auth_time=False)

    def _known(self, name: str) -> Preset:
        """A preset; or a provider of its kind elsewhere, whose accounts are other people's, under a name of its own."""
        preset, options = self._named(name), self.options
        moved = [one for one in REQUIRED if getattr(options, one) is not None]
        if preset.kind == "openid" or not moved:
            if options.issuer is not None:
                raise self._wrong("issuer", "the preset has it already: leave out one of them")
            return preset
        if options.issuer is None:
            raise self._wrong("issuer", f"set it: {moved[0]} makes it another provider than the preset's")
        missing = [one for one in REQUIRED if one not in moved]
        missing += ["emails_endpoint"] if preset.emails is not None and options.emails_endpoint is None else []
        if missing:
            raise self._wrong(missing[0], f"set it, too: {moved[0]} makes it another provider than the preset's")
        emails = preset.emails and preset.emails.model_copy(update={"endpoint": options.emails_endpoint})
        return preset.model_copy(update={"issuer": options.issuer, "emails": emails})

    def _named(self, preset: str) -> Preset:
        known = presets()
        if preset not in known:
            nearest = difflib.get_close_matches(preset, known, n=1)
            cure = f"did you mean {nearest[0]}?" if nearest else "set issuer instead, as its tokens name it"
            raise self._wrong("preset", f"{preset!r} is none: {cure}")
        return known[preset]

    def preset(self) -> Preset:
        """What the provider is."""
        options = self.options
        changed: dict[str, object] = {
            "issuer": self._issuer(),
            "scopes": self._scopes(),
            "authentication": options.authentication or self.base.authentication,
        }
        changed |= {one: self._url(one, url) for one in ENDPOINTS if (url := getattr(options, one)) is not None}
        if options.subject_claim is not None:
            changed["subject"] = self._subject(options.subject_claim)
        if options.verified_claim is not None:
            changed["verified"] = (options.verified_claim,)
        if options.email_claim is not None:
            changed["email"] = options.email_claim
        if options.name_claim is not None:
            changed["name"] = (options.name_claim,)
        return self.base.model_copy(update=changed)

    def _scopes(self) -> tuple[str, ...]:
        options, base = self.options, self.base
        if options.scopes is None:
            return (*base.scopes, *(base.offline_scopes if options.keep_tokens else ()))
        if base.kind == "openid" and "openid" not in options.scopes:
            raise self._wrong("scopes", "openid has to be among them: add it")
        return options.scopes

    def _subject(self, path: str) -> str:
        if self.base.kind == "openid":
            raise self._wrong("subject_claim", "OpenID providers have sub: leave it out")
        return path

    def _issuer(self) -> str:
        issuer = self.base.issuer
        if "{domain}" in issuer:
            issuer = self._in_domain(issuer)
        elif self.options.domain is not None:
            raise self._wrong("domain", "it belongs to okta, auth0 and keycloak: leave it out")
        if "{tenant}" in issuer:
            issuer = issuer.replace("{tenant}", self._tenant())
        elif self.options.tenant is not None:
            raise self._wrong("tenant", "it belongs to microsoft: leave it out")
        return self._url("issuer", issuer)

    def _in_domain(self, template: str) -> str:
        domain = (self.options.domain or "").rstrip("/")
        if not domain:
            raise self._wrong("domain", "set it to where it is, as in login.example.com")
        if "://" in domain:
            return template.replace("https://{domain}", domain)
        if not _HOST.fullmatch(domain.split("/", 1)[0].lower()):
            raise self._wrong("domain", "it is neither a host nor a URL: write it as in login.example.com")
        return template.replace("{domain}", domain)

    def _tenant(self) -> str:
        tenant = self.options.tenant or "common"
        if tenant in TENANTS:
            return tenant
        try:
            return str(uuid.UUID(tenant))
        except ValueError:
            raise self._wrong("tenant", f"it is neither one of {', '.join(TENANTS)} nor the id of a tenant") from None

    def _url(self, option: str, url: str) -> str:
        try:
            return checked(url, development=self.development)
        except OAuthFailed:
            cure = "write it as in https://login.example.com; http is for localhost, with SIGRA_DEVELOPMENT"
            raise self._wrong(option, f"it is no https URL: {cure}") from None

    def secret(self) -> SecretStr | None:
        """The client's secret, if it has one that stays."""
        options = self.options
        if self.base.authentication == "apple":
            self._check_signed(options)
            return None
        for one in ("team_id", "key_id", "private_key"):
            if getattr(options, one) is not None:
                raise self._wrong(one, "it belongs to apple: leave it out")
        if options.authentication == "none":
            if options.client_secret is not None:
                raise self._wrong("authentication", "there is a client_secret: leave out one of them")
        elif options.client_secret is None or not options.client_secret.get_secret_value():
            raise self._wrong("client_secret", "set it, or authentication to none for a client that has none")
        return options.client_secret

    def _check_signed(self, options: ProviderOptions) -> None:
        for one in ("team_id", "key_id", "private_key"):
            if getattr(options, one) is None:
                raise self._wrong(one, "apple needs it: set it")
        if options.client_secret is not None:
            raise self._wrong("client_secret", "apple's is signed with the private_key: leave it out")
        if not _signs(options.private_key):
            cure = "set it to the PEM that Apple gave, with its line breaks"
            raise self._wrong("private_key", f"it is no key for ES256: {cure}")

    def parameters(self) -> Mapping[str, str]:
        """Of the authorization request."""
        for one in self.options.parameters:
            if one.lower() in RESERVED:
                raise self._wrong("parameters", f"{one} is not to be chosen: leave it out")
        offline = self.base.offline_parameters if self.options.keep_tokens else {}
        return {**self.base.parameters, **offline, **self.options.parameters}

    def _wrong(self, option: str, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"SIGRA_OAUTH__PROVIDERS: {self.name}: {option}: {why}{'' if why[-1] in '.?' else '.'}"
        )


def _signs(key: SecretStr | None) -> bool:
    """Whether it signs by ES256 (RFC 7518, section 3.4)."""
    try:
        read = ECKey.import_key(key.get_secret_value()) if key is not None else None
    except (JoseError, ValueError, TypeError):
        return False
    return read is not None and read.is_private and read.curve_name == "P-256"


def _origin(url: str) -> str:
    """Scheme, host and port: the fixed name of a provider that is no issuer."""
    return "/".join(url.split("/", 3)[:3])

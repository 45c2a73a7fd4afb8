"""What may be said of providers, and what a wrong option is answered with at start."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from sigra import ConfigurationError, Sigra
from sigra.testing import FrozenClock, cheap_settings
from sigra_oauth import OAuth
from sigra_oauth.building import make_provider, make_providers
from sigra_oauth.configuring import Registration, register
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.outbound import Outbound
from sigra_oauth.providers import OAuth2, OpenID
from sigra_oauth.providers.apple import Apple
from sigra_oauth.providers.microsoft import Microsoft

WHO: dict[str, Any] = {"client_id": "client", "client_secret": "s3cret"}
PLAIN = {
    "authorization_endpoint": "https://forge.example/authorize",
    "token_endpoint": "https://forge.example/token",
    "userinfo_endpoint": "https://forge.example/user",
    "subject_claim": "id",
}
PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
APPLE = {"preset": "apple", "client_id": "client", "team_id": "T", "key_id": "K", "private_key": PEM}
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


def registered(development: bool = False, **options: Any) -> Registration:
    return register("mine", ProviderOptions(**{**WHO, **options}), development=development)


def wrong(**options: Any) -> str:
    """What the operator reads, without what it begins with."""
    with pytest.raises(ConfigurationError) as refused:
        registered(**options)
    message = str(refused.value)
    assert "s3cret" not in message
    return message.removeprefix("SIGRA_OAUTH__PROVIDERS: mine: ")


def test_a_provider_takes_three_lines() -> None:
    registration = registered(issuer="https://login.example.com")

    assert (registration.preset.kind, registration.preset.issuer) == ("openid", "https://login.example.com")
    assert registration.preset.scopes == ("openid", "email", "profile")
    assert (registration.label, registration.sign_up, registration.keep_tokens) == ("mine", True, False)


def test_a_preset_is_changed_by_options() -> None:
    registration = registered(
        preset="google", label="Work", scopes="openid email", parameters={"hd": "example.com"}, sign_up=False
    )

    assert (registration.label, registration.sign_up) == ("Work", False)
    assert registration.preset.scopes == ("openid", "email")
    assert registration.parameters == {"hd": "example.com"}


def test_where_tokens_are_kept_a_preset_asks_for_a_refresh_token() -> None:
    google = registered(preset="google", keep_tokens=True)
    microsoft = registered(preset="microsoft", keep_tokens=True)

    assert google.parameters == {"access_type": "offline", "prompt": "consent"}
    assert microsoft.preset.scopes == ("openid", "email", "profile", "offline_access")
    assert registered(preset="microsoft", keep_tokens=True, scopes="openid").preset.scopes == ("openid",)


@pytest.mark.parametrize(
    "scopes", ["openid email", "openid,email", ["openid", "email"], ["openid email"], ("openid email",)]
)
def test_scopes_are_a_list_or_words(scopes: object) -> None:
    assert ProviderOptions(**WHO, scopes=scopes).scopes == ("openid", "email")


@pytest.mark.parametrize(
    ("domain", "preset", "issuer"),
    [
        ("dev-1.okta.com", "okta", "https://dev-1.okta.com"),
        ("https://dev-1.okta.com/", "okta", "https://dev-1.okta.com"),
        ("dev-1.okta.com/oauth2/default", "okta", "https://dev-1.okta.com/oauth2/default"),
        ("mine.eu.auth0.com", "auth0", "https://mine.eu.auth0.com/"),
        ("https://mine.eu.auth0.com/", "auth0", "https://mine.eu.auth0.com/"),
        ("sso.example.com:8443/realms/main", "keycloak", "https://sso.example.com:8443/realms/main"),
    ],
)
def test_ones_own_server_is_a_host_or_a_url(domain: str, preset: str, issuer: str) -> None:
    assert registered(preset=preset, domain=domain).preset.issuer == issuer


@pytest.mark.parametrize(
    ("tenant", "issuer"),
    [(None, "common"), ("common", "common"), ("organizations", "organizations"), (TENANT.upper(), TENANT)],
)
def test_a_tenant_is_a_word_or_an_id(tenant: str | None, issuer: str) -> None:
    registration = registered(preset="microsoft", tenant=tenant)

    assert registration.preset.issuer == f"https://login.microsoftonline.com/{issuer}/v2.0"


def test_a_provider_of_oauth_alone_has_endpoints_and_the_name_of_its_place() -> None:
    registration = registered(**PLAIN, verified_claim="email_verified", name_claim="full_name", scopes="read")

    preset = registration.preset
    assert (preset.kind, preset.issuer, preset.subject) == ("oauth2", "https://forge.example", "id")
    assert (preset.verified, preset.name, preset.scopes) == (("email_verified",), ("full_name",), ("read",))
    assert registered(**PLAIN).preset.verified == ()


def test_hc03_a_presets_ways_at_other_endpoints_are_another_provider() -> None:
    """Its accounts are other people's, whatever their numbers: they must not be taken for the preset's."""
    moved = {
        "issuer": "https://git.example.com/login/oauth",
        "authorization_endpoint": "https://git.example.com/login/oauth/authorize",
        "token_endpoint": "https://git.example.com/login/oauth/access_token",
        "userinfo_endpoint": "https://git.example.com/api/v3/user",
        "emails_endpoint": "https://git.example.com/api/v3/user/emails",
    }
    preset = registered(preset="github", **moved).preset

    assert preset.issuer == moved["issuer"]
    assert preset.emails is not None and preset.emails.endpoint == moved["emails_endpoint"]
    for one in moved:
        told = wrong(preset="github", **{**moved, one: None})
        assert told.startswith(f"{one}: set it")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "issuer: set it (of an OpenID provider), or preset (of a known one)."),
        (
            {"preset": "google", "issuer": "https://accounts.google.com"},
            "issuer: the preset has it already: leave out one of them.",
        ),
        ({"preset": "gogle"}, "preset: 'gogle' is none: did you mean google?"),
        ({"preset": "zzz"}, "preset: 'zzz' is none: set issuer instead, as its tokens name it."),
        (
            {"authorization_endpoint": "https://forge.example/a"},
            "token_endpoint: a provider without issuer and preset needs it: set it.",
        ),
        (
            {**PLAIN, "subject_claim": None},
            "subject_claim: set it to what identifies an account there and never changes.",
        ),
        ({"preset": "okta"}, "domain: set it to where it is, as in login.example.com."),
        ({"preset": "google", "domain": "x.example"}, "domain: it belongs to okta, auth0 and keycloak: leave it out."),
        (
            {"preset": "okta", "domain": "a b.example"},
            "domain: it is neither a host nor a URL: write it as in login.example.com.",
        ),
        ({"preset": "google", "tenant": "common"}, "tenant: it belongs to microsoft: leave it out."),
        (
            {"preset": "microsoft", "tenant": "contoso.com"},
            "tenant: it is neither one of common, organizations, consumers nor the id of a tenant.",
        ),
        ({"preset": "google", "subject_claim": "email"}, "subject_claim: OpenID providers have sub: leave it out."),
        ({"preset": "google", "scopes": "email"}, "scopes: openid has to be among them: add it."),
        ({"preset": "google", "key_id": "K"}, "key_id: it belongs to apple: leave it out."),
        (
            {"preset": "google", "client_secret": None},
            "client_secret: set it, or authentication to none for a client that has none.",
        ),
        (
            {"preset": "google", "client_secret": ""},
            "client_secret: set it, or authentication to none for a client that has none.",
        ),
        (
            {"preset": "google", "authentication": "none"},
            "authentication: there is a client_secret: leave out one of them.",
        ),
        (APPLE, "client_secret: apple's is signed with the private_key: leave it out."),
        ({"preset": "apple", "client_secret": None}, "team_id: apple needs it: set it."),
        (
            {"preset": "google", "parameters": {"State": "x"}},
            "parameters: State is not to be chosen: leave it out.",
        ),
    ],
    ids=range(20),
)
def test_what_does_not_go_together_is_told_with_its_cure(options: dict[str, Any], told: str) -> None:
    assert wrong(**options) == told


@pytest.mark.parametrize("key", ["s3cret", "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----", ""])
def test_apples_key_is_looked_at_when_the_application_starts(key: str) -> None:
    told = wrong(**{**APPLE, "client_secret": None, "private_key": key})

    assert told == "private_key: it is no key for ES256: set it to the PEM that Apple gave, with its line breaks."


@pytest.mark.parametrize("option", ["issuer", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("url", ["http://login.example.com", "http://localhost:1234", "login.example.com", "https://"])
def test_hc30_a_provider_is_asked_by_https(option: str, url: str) -> None:
    told = wrong(**{"issuer": "https://login.example.com", option: url})

    assert told == (
        f"{option}: it is no https URL: write it as in https://login.example.com; "
        "http is for localhost, with SIGRA_DEVELOPMENT."
    )


def test_in_development_a_provider_may_be_on_this_machine() -> None:
    assert registered(issuer="http://localhost:1234", development=True).preset.issuer == "http://localhost:1234"
    assert registered(preset="keycloak", domain="http://localhost:8080/realms/a", development=True)
    with pytest.raises(ConfigurationError):
        registered(issuer="http://login.example.com", development=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"preset": "google", "clientid": "x", "client_secret": "s3cret"},
            "SIGRA_OAUTH__PROVIDERS__GOOGLE: clientid is not an option: write client_id.",
        ),
        (
            {"preset": "google", "client_secret": "s3cret"},
            "SIGRA_OAUTH__PROVIDERS__GOOGLE__CLIENT_ID is not set: set it.",
        ),
        ({**WHO, "preset": "gogle"}, "SIGRA_OAUTH__PROVIDERS: google: preset: 'gogle' is none: did you mean google?"),
        ({**WHO, "issuer": "http://x.example"}, "SIGRA_OAUTH__PROVIDERS: google: issuer: it is no https URL: "),
    ],
    ids=range(4),
)
def test_hc49_an_application_with_a_wrong_option_does_not_start(options: dict[str, Any], told: str) -> None:
    settings = cheap_settings(plugins=["defaults", "oauth"], oauth={"providers": {"google": options}})

    with pytest.raises(ConfigurationError) as refused:
        Sigra(settings)

    assert str(refused.value).startswith(told)
    assert "s3cret" not in str(refused.value)


def test_a_secret_is_not_repeated_where_options_are_wrong() -> None:
    with pytest.raises(ValidationError) as refused:
        OAuth(providers={"google": {"preset": "google", "clientid": "x", "client_secret": "s3cret"}})

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "Google", "-a", "a/b", "a b", "é", "a" * 33, "a\n"])
def test_a_name_fits_into_a_path(name: str) -> None:
    with pytest.raises(ValidationError):
        Options(providers={name: {"preset": "google", **WHO}})


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/99", "host/8"])
def test_a_network_is_written_without_bits_behind_its_prefix(network: str) -> None:
    with pytest.raises(ValidationError, match="one is no network"):
        Options(allow_private=[network])


def test_a_secret_is_in_no_repr() -> None:
    options = Options(providers={"google": {"preset": "google", **WHO}, "apple": APPLE})
    providers = make_providers(options, development=False, clock=FrozenClock())
    shown = repr(options) + repr([vars(one) for one in providers.values()])

    assert "s3cret" not in shown
    assert "PRIVATE KEY" not in shown


def test_each_provider_is_of_its_class() -> None:
    options = Options(
        providers={
            "github": {"preset": "github", **WHO},
            "google": {"preset": "google", **WHO},
            "apple": APPLE,
            "microsoft": {"preset": "microsoft", **WHO},
            "own": {"issuer": "https://login.example.com", **WHO},
            "plain": {**PLAIN, **WHO},
        }
    )
    made = make_providers(options, development=False, clock=FrozenClock())

    assert {name: type(one) for name, one in made.items()} == {
        "github": OAuth2,
        "google": OpenID,
        "apple": Apple,
        "microsoft": Microsoft,
        "own": OpenID,
        "plain": OAuth2,
    }
    assert [(one.name, one.label) for one in made.values()][:2] == [("github", "GitHub"), ("google", "Google")]
    assert {one.response_mode for name, one in made.items() if name != "apple"} == {"query"}
    assert made["apple"].response_mode == "form_post"


def tenant(name: str, **more: Any) -> dict[str, Any]:
    """One of several at the same host, each of which counts its accounts from 1."""
    return {**WHO, **PLAIN, "userinfo_endpoint": f"https://forge.example/{name}/user", **more}


@pytest.mark.parametrize(
    "providers",
    [
        {"one": tenant("a"), "two": tenant("b")},
        {"one": tenant("a"), "two": tenant("a", subject_claim="number")},
        {"one": tenant("a"), "two": {**WHO, "issuer": "https://forge.example"}},
        {"one": {"preset": "github", **WHO}, "two": tenant("b", issuer="https://github.com/login/oauth")},
    ],
    ids=["tenants", "subjects", "kinds", "preset"],
)
def test_hc04_accounts_of_two_places_are_never_taken_for_each_others(providers: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"two: issuer: .* as that of one, .* Set an issuer of its own"):
        make_providers(Options(providers=providers), development=False, clock=FrozenClock())


def test_several_at_one_host_have_names_of_their_own_and_one_may_be_there_twice() -> None:
    named = {name: tenant(name, issuer=f"https://forge.example/{name}") for name in ("a", "b")}
    twice = {"app": {**WHO, "preset": "google"}, "web": {**WHO, "preset": "google", "client_id": "another"}}
    made = make_providers(Options(providers={**named, **twice}), development=False, clock=FrozenClock())

    assert [(one.preset.kind, one.preset.issuer) for one in made.values() if isinstance(one, OAuth2)] == [
        ("oauth2", "https://forge.example/a"),
        ("oauth2", "https://forge.example/b"),
        *[("openid", "https://accounts.google.com")] * 2,
    ]


def test_a_provider_that_is_down_does_not_keep_the_application_from_starting() -> None:
    """Nobody is asked anything before somebody wants to sign in."""

    class Unreachable(Outbound):
        def client(self) -> Any:
            raise AssertionError

    made = make_provider("own", ProviderOptions(issuer="https://nobody.invalid", **WHO), Unreachable(), datetime.now)

    assert made.label == "own"

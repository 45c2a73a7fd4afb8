"""The contract of every preset: what it must say, and what it says of an account."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import sigra_oauth
from sigra_oauth.accounts import read_claims, read_primary
from sigra_oauth.configuring import REQUIRED, Registration, register
from sigra_oauth.discovery import ENDPOINTS, Metadata
from sigra_oauth.options import ProviderOptions
from sigra_oauth.outbound import Outbound, checked
from sigra_oauth.presets import Preset, presets
from sigra_oauth.provider import Asked
from sigra_oauth.providers import OAuth2, OpenID

ALL = sorted(presets())
NAMES = [
    *("amazon", "apple", "atlassian", "auth0", "bitbucket", "discord", "dropbox", "facebook", "github", "gitlab"),
    *("google", "kakao", "keycloak", "line", "linkedin", "microsoft", "naver", "okta", "slack", "spotify", "twitch"),
    *("x", "yahoo", "zoom"),
]

TEXT = (Path(sigra_oauth.__file__).parent / "presets.toml").read_text(encoding="utf-8")

ACCOUNTS: dict[str, tuple[dict[str, Any], tuple[str, str | None, bool, str | None]]] = {
    "amazon": (
        {"user_id": "amzn1.account.K2", "email": "ada@example.com", "name": "Ada"},
        ("amzn1.account.K2", "ada@example.com", False, "Ada"),
    ),
    "apple": (
        {"sub": "001.ada", "email": "ada@privaterelay.appleid.com", "email_verified": True, "is_private_email": True},
        ("001.ada", "ada@privaterelay.appleid.com", True, None),
    ),
    "atlassian": (
        {"account_id": "5b10a", "email": "ada@example.com", "name": "Ada", "account_status": "active"},
        ("5b10a", "ada@example.com", False, "Ada"),
    ),
    "auth0": (
        {"sub": "auth0|1", "email": "ada@example.com", "email_verified": True, "name": "Ada"},
        ("auth0|1", "ada@example.com", True, "Ada"),
    ),
    "bitbucket": (
        {"uuid": "{c788b2da}", "account_id": "557058:1", "display_name": "Ada", "username": "ada"},
        ("{c788b2da}", None, False, "Ada"),
    ),
    "discord": (
        {
            "id": "80351110224678912",
            "username": "ada",
            "global_name": "Ada",
            "email": "ada@example.com",
            "verified": True,
        },
        ("80351110224678912", "ada@example.com", True, "Ada"),
    ),
    "dropbox": (
        {
            "account_id": "dbid:AAH4",
            "name": {"given_name": "Ada", "display_name": "Ada Lovelace"},
            "email": "ada@example.com",
            "email_verified": True,
        },
        ("dbid:AAH4", "ada@example.com", True, "Ada Lovelace"),
    ),
    "facebook": (
        {"id": "10150000", "name": "Ada", "email": "ada@example.com", "email_verified": True, "verified": True},
        ("10150000", "ada@example.com", False, "Ada"),
    ),
    "github": (
        {"id": 583231, "login": "ada", "name": "Ada", "email": "public@example.com"},
        ("583231", None, False, "Ada"),
    ),
    "gitlab": (
        {"sub": "42", "email": "ada@example.com", "email_verified": True, "name": "Ada", "nickname": "ada"},
        ("42", "ada@example.com", True, "Ada"),
    ),
    "google": (
        {"sub": "110169484474386276334", "email": "ada@example.com", "email_verified": True, "name": "Ada"},
        ("110169484474386276334", "ada@example.com", True, "Ada"),
    ),
    "kakao": (
        {
            "id": 123456789,
            "kakao_account": {
                "email": "ada@example.com",
                "is_email_valid": True,
                "is_email_verified": True,
                "profile": {"nickname": "Ada"},
            },
        },
        ("123456789", "ada@example.com", True, "Ada"),
    ),
    "keycloak": (
        {"sub": "f:1:ada", "email": "ada@example.com", "email_verified": False, "name": "Ada"},
        ("f:1:ada", "ada@example.com", False, "Ada"),
    ),
    "line": ({"sub": "U4af49806", "name": "Ada", "email": "ada@example.com"}, ("U4af49806", None, False, "Ada")),
    "linkedin": (
        {"sub": "782bbtaQ", "name": "Ada", "email": "ada@example.com", "email_verified": True},
        ("782bbtaQ", "ada@example.com", True, "Ada"),
    ),
    "microsoft": (
        {"sub": "AAAAAA", "oid": "1", "email": "ada@example.com", "email_verified": True, "name": "Ada"},
        ("AAAAAA", "ada@example.com", False, "Ada"),
    ),
    "naver": (
        {"resultcode": "00", "response": {"id": "32742776", "email": "ada@example.com", "name": "Ada"}},
        ("32742776", "ada@example.com", False, "Ada"),
    ),
    "okta": (
        {"sub": "00uid4BxXw6I6TV4m0g3", "email": "ada@example.com", "email_verified": True, "name": "Ada"},
        ("00uid4BxXw6I6TV4m0g3", "ada@example.com", True, "Ada"),
    ),
    "slack": (
        {"ok": True, "sub": "U0R7JM", "email": "ada@example.com", "email_verified": True, "name": "Ada"},
        ("U0R7JM", "ada@example.com", True, "Ada"),
    ),
    "spotify": (
        {"id": "ada", "display_name": "Ada", "email": "ada@example.com"},
        ("ada", "ada@example.com", False, "Ada"),
    ),
    "twitch": (
        {"sub": "713936733", "email": "ada@example.com", "email_verified": True, "preferred_username": "ada"},
        ("713936733", "ada@example.com", True, "ada"),
    ),
    "x": (
        {"data": {"id": "2244994945", "name": "Ada", "username": "ada", "confirmed_email": "ada@example.com"}},
        ("2244994945", "ada@example.com", False, "Ada"),
    ),
    "yahoo": (
        {"sub": "FSVIDUW3D7FSVIDUW3D72F2F", "email": "ada@example.com", "email_verified": True, "name": "Ada"},
        ("FSVIDUW3D7FSVIDUW3D72F2F", "ada@example.com", True, "Ada"),
    ),
    "zoom": (
        {"id": "zJKyaiAyTNC", "display_name": "Ada", "email": "ada@example.com", "verified": 1},
        ("zJKyaiAyTNC", "ada@example.com", False, "Ada"),
    ),
}
"""An account as each describes it, and what is made of it: subject, address, whether it is verified, name."""


PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def registered(name: str, **more: Any) -> Registration:
    own: dict[str, Any] = {"client_secret": "secret"}
    if name == "apple":
        own = {"team_id": "T", "key_id": "K", "private_key": PEM}
    if "{domain}" in presets()[name].issuer:
        own["domain"] = "login.example.com"
    return register(name, ProviderOptions(preset=name, client_id="client", **own, **more))


def preset_of(name: str) -> Preset:
    return registered(name).preset


def changed(document: Any, path: str, value: Any) -> Any:
    """The document with another value at that path; without it when the value is None."""
    first, _, rest = path.partition(".")
    if rest:
        return {**document, first: changed(document[first], rest, value)}
    return {**document, first: value} if value is not None else {k: v for k, v in document.items() if k != first}


def test_all_are_there() -> None:
    assert ALL == NAMES


@pytest.mark.parametrize("name", ALL)
def test_each_says_where_its_words_come_from(name: str) -> None:
    before = TEXT[: TEXT.index(f"[{name}]")].rstrip("\n").rsplit("\n\n", 1)[-1]

    assert before.startswith("# ")


def test_nothing_in_the_file_is_unread() -> None:
    assert set(tomllib.loads(TEXT)) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_each_says_where_it_is(name: str) -> None:
    preset = preset_of(name)
    named = [getattr(preset, one) for one in ENDPOINTS]

    assert "{" not in checked(preset.issuer, development=False)
    assert all(checked(url, development=False) for url in named if url is not None)
    assert all(getattr(preset, one) for one in REQUIRED) == (preset.kind == "oauth2")
    assert (preset.jwks_uri, preset.end_session_endpoint) == (None, None)


def test_no_two_share_a_name_or_an_issuer() -> None:
    ones = [presets()[name] for name in ALL]

    assert len({one.label for one in ones}) == len(ones)
    templates = [one.issuer for one in ones if "{domain}" not in one.issuer]
    assert len(set(templates)) == len(templates)


@pytest.mark.parametrize("name", ALL)
def test_each_asks_for_what_it_reads(name: str) -> None:
    preset = preset_of(name)

    assert ("openid" in preset.scopes) or preset.kind == "oauth2"
    assert len(set(preset.scopes)) == len(preset.scopes)
    assert preset.authentication is not None or preset.kind == "openid" or name in ("discord", "dropbox")
    assert preset.emails is None or (preset.email, preset.verified) == ("", ())
    assert preset.email or not preset.verified


@pytest.mark.parametrize("name", ALL)
def test_hc03_each_knows_an_account_by_what_never_changes(name: str) -> None:
    subject = preset_of(name).subject

    assert subject.split(".")[-1] in ("sub", "id", "uuid", "account_id", "user_id")
    assert presets()[name].kind == "oauth2" or subject == "sub"


@pytest.mark.parametrize("name", ALL)
def test_each_reads_an_account_as_its_provider_describes_it(name: str) -> None:
    account, (subject, email, verified, known_as) = ACCOUNTS[name]
    claims = read_claims(preset_of(name), account)

    assert (claims.subject, claims.email, claims.email_verified, claims.name) == (subject, email, verified, known_as)
    assert claims.issuer == preset_of(name).issuer


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "word", ["true", "True", 1, False, None, [True], {"true": True}, "ada@example.com"], ids=range(8)
)
def test_hc02_nothing_but_true_says_that_an_address_is_verified(name: str, word: object) -> None:
    preset, (account, _) = preset_of(name), ACCOUNTS[name]

    for path in preset.verified:
        told = changed(account, path, word)
        assert not read_claims(preset, told).email_verified
    assert not read_claims(preset.model_copy(update={"verified": ()}), account).email_verified


def test_hc02_who_never_says_that_an_address_is_verified() -> None:
    never = {name for name in ALL if not presets()[name].verified and presets()[name].emails is None}

    assert never == {"amazon", "facebook", "line", "naver", "spotify", "x", "zoom"}


def test_hc02_microsofts_word_is_the_owner_of_the_domain() -> None:
    account, _ = ACCOUNTS["microsoft"]

    assert not read_claims(preset_of("microsoft"), {**account, "email_verified": True}).email_verified
    assert read_claims(preset_of("microsoft"), {**account, "xms_edov": True}).email_verified
    assert not read_claims(preset_of("microsoft"), {**account, "xms_edov": "1"}).email_verified


GITHUB = [
    {"email": "old@example.com", "primary": False, "verified": True},
    {"email": "ada@example.com", "primary": True, "verified": True},
]
BITBUCKET = {"values": [{"email": "ada@example.com", "is_primary": True, "is_confirmed": True, "type": "email"}]}


@pytest.mark.parametrize(("name", "told"), [("github", GITHUB), ("bitbucket", BITBUCKET)])
def test_an_address_of_a_list_is_the_primary_one(name: str, told: Any) -> None:
    emails = preset_of(name).emails
    assert emails is not None

    assert read_primary(emails, told) == ("ada@example.com", True)


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        [],
        "ada@example.com",
        ["ada@example.com"],
        [{"email": "ada@example.com", "verified": True}],
        [{"email": "ada@example.com", "primary": "true", "verified": True}],
        [{"primary": True, "verified": True}],
        [{"email": 7, "primary": True, "verified": True}],
    ],
    ids=range(9),
)
def test_a_list_without_a_primary_address_has_none(told: Any) -> None:
    emails = preset_of("github").emails
    assert emails is not None

    assert read_primary(emails, told) == (None, False)


@pytest.mark.parametrize("verified", [False, "true", 1, None])
def test_hc02_a_primary_address_is_verified_by_true_alone(verified: object) -> None:
    emails = preset_of("github").emails
    assert emails is not None

    told = [{"email": "ada@example.com", "primary": True, "verified": verified}, GITHUB[0]]
    assert read_primary(emails, told) == ("ada@example.com", False)


async def url_of(name: str, *, again: bool = False, **more: Any) -> dict[str, str]:
    """What a browser is sent with; nobody is asked where the provider is."""

    class Offline(OpenID):
        async def metadata(self) -> Metadata:
            return Metadata(self.preset.issuer, authorization_endpoint="https://login.example.com/authorize")

    registration = registered(name, **more)
    kind = Offline if registration.preset.kind == "openid" else OAuth2
    made = kind(registration, Outbound(), lambda: datetime.now(UTC))
    asked = Asked("https://app.example/callback", "state", "nonce", "v" * 43, again, datetime.now(UTC))
    pairs = parse_qsl(urlsplit(await made.authorization_url(asked)).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize("name", ALL)
async def test_hc29_each_is_asked_with_all_that_binds_its_answer(name: str) -> None:
    asked = await url_of(name)

    preset = preset_of(name)
    assert asked["response_type"] == "code"
    assert (asked["client_id"], asked["state"]) == ("client", "state")
    assert asked["redirect_uri"] == "https://app.example/callback"
    assert asked.get("scope", "") == " ".join(preset.scopes)
    assert asked.get("nonce") == ("nonce" if preset.kind == "openid" else None)
    assert asked.get("response_mode", "query") == preset.response_mode


@pytest.mark.parametrize("name", ALL)
async def test_hc29_each_is_sent_pkce_but_those_that_refuse_it(name: str) -> None:
    asked = await url_of(name)

    if name in ("facebook", "linkedin"):
        assert "code_challenge" not in asked and "code_challenge_method" not in asked
    else:
        assert (len(asked.get("code_challenge", "")), asked.get("code_challenge_method")) == (43, "S256")


@pytest.mark.parametrize("name", ALL)
async def test_each_is_asked_again_in_its_own_words(name: str) -> None:
    usual, again = await url_of(name), await url_of(name, again=True)

    more = dict(again.items() - usual.items())
    preset = presets()[name]
    standard = {"prompt": "login", "max_age": "0"} if preset.kind == "openid" else {}
    assert more == (standard if preset.again is None else preset.again)
    assert preset.auth_time == (preset.kind == "openid" and preset.again is None and name not in ("microsoft", "yahoo"))


async def test_who_gives_refresh_tokens_on_request_is_asked_for_one() -> None:
    assert (await url_of("google", keep_tokens=True))["access_type"] == "offline"
    assert (await url_of("dropbox", keep_tokens=True))["token_access_type"] == "offline"
    assert (await url_of("x", keep_tokens=True))["scope"].split()[-1] == "offline.access"

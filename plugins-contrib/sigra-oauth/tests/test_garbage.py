"""Whatever a provider says, in whatever shape: it is understood or refused, and nothing else ever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sigra.testing import FrozenClock
from sigra_oauth.accounts import read_claims, read_primary
from sigra_oauth.callbacks import read_code
from sigra_oauth.discovery import ENDPOINTS, read_metadata
from sigra_oauth.errors import OAuthDenied, OAuthFailed, OAuthUnavailable
from sigra_oauth.exchanging import error_of, read_tokens
from sigra_oauth.id_tokens import TYPES, Expected, check_id_token
from sigra_oauth.keys import read_keys
from sigra_oauth.logout_tokens import EVENT, check_logout_token
from sigra_oauth.outbound import checked, json_of
from sigra_oauth.presets import Emails, presets
from sigra_oauth.providers.apple import read_name
from sigra_oauth.signed import Signed, read_header
from tests.oauth.keys import encoded, signing_key

ISSUER = "https://login.example.com"
CLOCK = FrozenClock()
NOW = int(CLOCK().timestamp())
KEYS = [signing_key("rsa").public(), signing_key("ec", "ES256").public(), signing_key("ed", "EdDSA").public()]

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [ISSUER, "client", "nonce", "bearer", "RSA", "sig", "AQAB", "true", NOW, NOW + 60, 10**400, "\ud800"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def objects(right: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object that is right, but for a few members."""
    return st.dictionaries(st.sampled_from(sorted(right)), ANYTHING, max_size=3).map(lambda wrong: {**right, **wrong})


@contextmanager
def understood_or_refused() -> Iterator[None]:
    reason = ""
    try:
        yield
    except OAuthDenied:
        return
    except (OAuthFailed, OAuthUnavailable) as refused:
        reason = refused.reason
    assert reason.isprintable()


METADATA = {
    "issuer": ISSUER,
    "response_types_supported": ["code"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    **{name: f"{ISSUER}/{name}" for name in ENDPOINTS},
}


@given(ANYTHING | objects(METADATA))
def test_hc30_metadata(told: Any) -> None:
    with understood_or_refused():
        read_metadata(told, ISSUER, development=True)


@given(
    ANYTHING | st.lists(ANYTHING | st.sampled_from(KEYS).flatmap(objects), max_size=3).map(lambda keys: {"keys": keys})
)
def test_hc30_keys(told: Any) -> None:
    with understood_or_refused():
        read_keys(told)


TOKENS = {
    "access_token": "a",
    "token_type": "bearer",
    "expires_in": 60,
    "refresh_token": "r",
    "scope": "s",
    "id_token": "i",
}


@given(objects(TOKENS))
def test_hc30_tokens(told: Any) -> None:
    with understood_or_refused():
        read_tokens(told, CLOCK)


CLAIMS = {
    "iss": ISSUER,
    "sub": "ada",
    "aud": "client",
    "azp": "client",
    "exp": NOW + 60,
    "iat": NOW,
    "nbf": NOW,
    "auth_time": NOW,
    "nonce": "nonce",
    "sid": "session",
    "jti": "1",
    "events": {EVENT: {}},
}


@given(objects(CLAIMS))
def test_hc26_id_tokens(claims: Any) -> None:
    expected = Expected(ISSUER, "client", "nonce", "access", "code", CLOCK(), proven_since=CLOCK())
    with understood_or_refused():
        assert check_id_token(Signed("RS256", claims), expected) == claims["sub"]


@given(objects({name: value for name, value in CLAIMS.items() if name != "nonce"}))
def test_hc26_logout_tokens(claims: Any) -> None:
    with understood_or_refused():
        check_logout_token(Signed("RS256", claims), issuer=ISSUER, client_id="client", now=CLOCK())


@given(st.text() | st.binary().map(lambda raw: f"{encoded(raw)}.e30.AA") | st.text().map(lambda text: f"{text}.e30.AA"))
def test_hc26_headers(token: str) -> None:
    with understood_or_refused():
        read_header(token, TYPES)


@given(ANYTHING)
def test_hc30_accounts(told: Any) -> None:
    for preset in presets().values():
        if isinstance(told, dict):
            with understood_or_refused():
                read_claims(preset, told)
    read_primary(Emails(endpoint=""), told)
    read_primary(Emails(endpoint="", items="values"), told)


WORDS = st.lists(st.text(max_size=30) | st.sampled_from([ISSUER, "access_denied", "server_error"]), max_size=3)


@given(st.dictionaries(st.sampled_from(["code", "error", "iss", "state", "user", "x"]), WORDS), st.booleans())
def test_hc31_callbacks(parameters: dict[str, list[str]], names_itself: bool) -> None:
    with understood_or_refused():
        assert read_code(parameters, issuer=ISSUER, names_itself=names_itself) == parameters["code"][0]


@given(st.text() | ANYTHING | st.text().map(lambda text: f"https://{text}"))
def test_hc30_urls(url: Any) -> None:
    with understood_or_refused():
        checked(url, development=True)


@given(st.binary() | st.text())
def test_hc30_json(content: bytes | str) -> None:
    with understood_or_refused():
        json_of(content, "the answer")
    if isinstance(content, bytes):
        error_of(content)


@given(st.text())
def test_hc43_names(user: str) -> None:
    read_name(user)


def test_what_is_right_is_understood() -> None:
    """So that the tests above begin where something is understood."""
    calls: list[Callable[[], object]] = [
        lambda: read_metadata(METADATA, ISSUER, development=False),
        lambda: read_keys({"keys": KEYS}),
        lambda: read_tokens(TOKENS, CLOCK),
        lambda: read_code({"code": ["c"], "iss": [ISSUER]}, issuer=ISSUER, names_itself=True),
    ]

    assert all(call() for call in calls)

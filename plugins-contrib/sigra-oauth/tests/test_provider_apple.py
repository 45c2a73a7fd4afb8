"""Apple: the secret that is signed for each request, and the name that comes by form."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from sigra.testing import FrozenClock
from sigra_oauth.building import make_provider
from sigra_oauth.options import ProviderOptions
from sigra_oauth.outbound import Outbound
from sigra_oauth.providers.apple import Apple, read_name

KEY = ec.generate_private_key(ec.SECP256R1())


def made(clock: FrozenClock) -> Apple:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    options = ProviderOptions(
        preset="apple", client_id="com.example.app", team_id="TEAM123456", key_id="KEY1234567", private_key=pem
    )
    one = make_provider("apple", options, Outbound(), clock)
    assert isinstance(one, Apple)
    return one


def test_the_clients_secret_is_signed_for_five_minutes(clock: FrozenClock) -> None:
    one, now = made(clock), int(clock().timestamp())

    token = jwt.decode(one.client_secret() or "", ECKey.import_key(KEY.public_key()), ["ES256"])

    assert (token.header["alg"], token.header["kid"]) == ("ES256", "KEY1234567")
    assert token.claims == {
        "iss": "TEAM123456",
        "sub": "com.example.app",
        "aud": "https://appleid.apple.com",
        "iat": now,
        "exp": now + 300,
    }
    clock.tick(timedelta(minutes=5))
    assert one.client_secret() != token


def test_the_key_is_in_no_repr(clock: FrozenClock) -> None:
    one = made(clock)

    assert "PRIVATE KEY" not in repr(one.registration) + repr(vars(one))


async def test_the_answer_comes_by_form(clock: FrozenClock) -> None:
    from sigra_oauth.discovery import Metadata
    from sigra_oauth.provider import Asked

    one = made(clock)

    async def metadata() -> Metadata:
        return Metadata("https://appleid.apple.com", "https://appleid.apple.com/auth/authorize")

    one.metadata = metadata
    url = await one.authorization_url(Asked("https://app.example/cb", "s", "n", "v" * 43, False, clock()))

    assert one.response_mode == "form_post"
    assert dict(parse_qsl(urlsplit(url).query))["response_mode"] == "form_post"


def test_a_name_is_read_from_the_form() -> None:
    assert (
        read_name(json.dumps({"name": {"firstName": "Ada", "lastName": "Lovelace"}, "email": "a@b.c"}))
        == "Ada Lovelace"
    )
    assert read_name(json.dumps({"name": {"firstName": "Ada"}})) == "Ada"
    assert read_name(json.dumps({"name": {"firstName": "A\0d\na", "lastName": "x" * 500}})) == "Ada " + "x" * 196


@pytest.mark.parametrize(
    "user",
    [
        None,
        "",
        "{",
        "[]",
        "7",
        "null",
        '{"name":null}',
        '{"name":[]}',
        '{"name":{"firstName":7,"lastName":null}}',
        '{"name":{"firstName":"  "}}',
        "[" * 2000,
        json.dumps({"name": {"firstName": "x" * 3000}}),
    ],
    ids=range(12),
)
def test_hc43_a_form_without_a_name_has_none(user: str | None) -> None:
    assert read_name(user) is None

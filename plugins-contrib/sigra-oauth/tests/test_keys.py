"""Which keys of a provider are taken, and which of them for a token."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import OctKey
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from sigra.testing import FrozenClock
from sigra_oauth.discovery import Discovery
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.keys import KINDS, MOST_KEYS, Keys, fitting, read_keys
from sigra_oauth.outbound import Outbound
from tests.oauth.keys import SigningKey, encoded, signing_key
from tests.oauth.serving import Place

RSA, EC, ED = signing_key("rsa"), signing_key("ec", "ES256"), signing_key("ed", "EdDSA")


def read(*keys: Any) -> list[str | None]:
    """The names of those that are taken."""
    return [key.kid for key in read_keys({"keys": list(keys)})]


def public(key: SigningKey = RSA, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**key.public(), **changes}.items() if value is not None}


def test_hc26_only_signatures_by_public_keys_are_known() -> None:
    assert set(KINDS) == {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
    }


def test_keys_of_every_kind_are_taken() -> None:
    assert read(public(RSA), public(EC), public(ED)) == ["rsa", "ec", "ed"]


def test_hc26_private_and_symmetric_keys_are_not_taken() -> None:
    secret = OctKey.import_key(b"x" * 32).as_dict(private=True) | {"kid": "secret"}

    assert read(RSA.private(), EC.private(), ED.private(), secret, public(d="AQAB"), public(EC, k="AQAB")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"use": ["sig"]},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"key_ops": []},
        {"kty": None},
        {"kty": "oct"},
        {"kty": ["RSA"]},
        {"kid": 7},
        {"alg": ["RS256"]},
        {"n": None},
        {"n": 7},
        {"n": ""},
        {"n": "é"},
        {"n": "!!!!"},
        {"n": encoded(b"\xff" * 255)},
        {"n": encoded(b"\xff" * 1025)},
        {"n": "A" * 100_000},
        {"e": encoded(b"\xff" * 250)},
        {"e": None},
        {"e": 65537},
    ],
    ids=range(21),
)
def test_hc26_a_key_that_cannot_have_signed_is_passed_over(changes: dict[str, Any]) -> None:
    assert read(public(**changes), public(EC)) == ["ec"]


@pytest.mark.parametrize(
    "changes", [{"x": "AAAA"}, {"y": EC.public()["x"]}, {"crv": "P-384"}, {"crv": "nope"}, {"crv": 7}], ids=range(5)
)
def test_hc26_a_point_that_is_not_on_its_curve_is_no_key(changes: dict[str, Any]) -> None:
    assert read(public(EC, **changes), public()) == ["rsa"]


@pytest.mark.parametrize("told", [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": "x"}, "keys"], ids=range(7))
def test_a_set_of_keys_has_keys(told: object) -> None:
    with pytest.raises(OAuthFailed) as refused:
        read_keys(told)

    assert refused.value.reason == "the provider's keys are no set of keys"


def test_a_set_with_things_that_are_no_keys_is_read() -> None:
    assert read(None, 7, "key", [], {}, public()) == ["rsa"]


def test_hc30_a_set_of_many_keys_is_looked_at_no_further() -> None:
    assert len(read(*[public(ED, kid=str(number)) for number in range(MOST_KEYS + 50)])) == MOST_KEYS


def test_hc26_a_key_signs_by_its_own_algorithm_and_no_other() -> None:
    keys = read_keys({"keys": [public(), public(EC), public(ED), public(alg=None, kid="any")]})

    def names(algorithm: str, kid: str | None = None) -> list[str | None]:
        return [key.kid for key in fitting(keys, algorithm, kid)]

    assert names("RS256") == ["rsa", "any"]
    assert names("PS256") == ["any"]
    assert names("ES256") == ["ec"]
    assert names("ES384") == []
    assert names("EdDSA") == ["ed"]
    assert names("Ed25519") == ["ed"]
    assert names("RS256", "ec") == []
    assert names("RS256", "rsa") == ["rsa"]


class Published:
    """A provider's keys, and how often they were asked for."""

    def __init__(self, place: Place, clock: FrozenClock) -> None:
        self.keys, self.asked, self.clock = [public()], 0, clock
        issuer = place.origin
        told = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}

        async def metadata(_):
            return JSONResponse(told)

        async def keys(_):
            self.asked += 1
            return JSONResponse({"keys": self.keys})

        place.app = Starlette(routes=[Route("/.well-known/openid-configuration", metadata), Route("/keys", keys)])
        way = Outbound(development=True)
        self.found = Keys(way, Discovery(way, clock, issuer=issuer, development=True), clock)

    async def find(self, algorithm: str = "RS256", kid: str | None = "rsa") -> str | None:
        return (await self.found.find(algorithm, kid)).kid


@pytest.fixture
def published(place: Place, clock: FrozenClock) -> Published:
    return Published(place, clock)


async def test_keys_are_asked_for_once_an_hour(published: Published, clock: FrozenClock) -> None:
    names = [await published.find() for _ in range(3)]
    clock.now = clock.now.replace(hour=13)
    names.append(await published.find())

    assert names == ["rsa"] * 4
    assert published.asked == 2


async def test_hc30_a_key_that_was_published_just_now_is_found(published: Published) -> None:
    await published.find()
    published.keys = [public(kid="newer")]

    assert await published.find(kid="newer") == "newer"
    assert published.asked == 2


async def test_hc30_unknown_names_have_the_keys_asked_for_once_a_minute(
    published: Published, clock: FrozenClock
) -> None:
    for number in range(20):
        with pytest.raises(OAuthFailed) as refused:
            await published.find(kid=f"unknown-{number}")
    at_once = published.asked
    clock.now = clock.now.replace(minute=1)
    with pytest.raises(OAuthFailed):
        await published.find(kid="unknown")

    assert refused.value.reason == "the provider has 0 keys for an RS256 token of that kid, not one"
    assert (at_once, published.asked) == (2, 3)


async def test_hc26_a_token_without_a_name_has_the_one_key_that_fits(published: Published) -> None:
    published.keys = [public(), public(EC)]

    assert [await published.find(kid=None), await published.find("ES256", None)] == ["rsa", "ec"]


async def test_hc26_a_token_without_a_name_has_none_of_several_keys(published: Published) -> None:
    published.keys = [public(), public(kid="other")]

    with pytest.raises(OAuthFailed) as refused:
        await published.find(kid=None)

    assert refused.value.reason == "the provider has 2 keys for an RS256 token of that kid, not one"


async def test_hc26_two_keys_of_one_name_are_none(published: Published) -> None:
    published.keys = [public(), public(signing_key("other"), kid="rsa")]

    with pytest.raises(OAuthFailed):
        await published.find()

"""A provider of OAuth 2.0 alone, by options and by a stranger's plugin: against one over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from sigra.testing import FrozenClock
from sigra_oauth.building import make_outbound, make_provider
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.provider import Answer, Asked, Claims
from sigra_oauth.providers import OAuth2
from tests.apps import running
from tests.oauth.dancing import NONE_TRUSTED, counted, dance, outcome
from tests.oauth.forge import Forge, ForgePlugin, ForgeProvider
from tests.oauth.serving import Place

CALLBACK = "http://localhost/auth/oauth/forge/callback"


@pytest.fixture
def forge(place: Place) -> Forge:
    found = Forge(place.origin)
    place.app = found.application()
    return found


def made(forge: Forge, clock: FrozenClock, kind: type[OAuth2] | None = None, **options: Any) -> OAuth2:
    own = ProviderOptions(**forge.options(**options))
    way = make_outbound(Options(), development=True)
    return make_provider("forge", own, way, clock, development=True, kind=kind)


async def there(one: OAuth2, **changes: Any) -> tuple[Asked, Mapping[str, Sequence[str]]]:
    asked = Asked(CALLBACK, "s" * 43, "n" * 43, "v" * 43, again=False, begun_at=one.clock())
    async with httpx2.AsyncClient(trust_env=False, verify=NONE_TRUSTED) as browser:
        response = await browser.get(await one.authorization_url(asked))
    return asked, {**parse_qs(urlsplit(response.headers["location"]).query), **changes}


async def danced(one: OAuth2, **changes: Any) -> Answer:
    return await one.answer(*await there(one, **changes))


async def test_whoever_was_there_is_who_the_account_says(forge: Forge, clock: FrozenClock) -> None:
    one = made(forge, clock, email_claim="user.mail", name_claim="user.called", scopes="read mail")

    answer = await danced(one)

    assert answer.claims == Claims(forge.origin, "7", "ada@example.com", False, "Ada")
    assert (answer.tokens.access_token, answer.tokens.id_token, answer.session) == ("token", None, None)
    assert forge.asked[0]["scope"] == "read mail"
    assert "nonce" not in forge.asked[0]


async def test_hc02_an_address_is_verified_by_what_the_options_name(forge: Forge, clock: FrozenClock) -> None:
    one = made(forge, clock, email_claim="user.mail", verified_claim="user.state")
    by_text = (await danced(one)).claims.email_verified
    forge.account["user"]["state"] = True

    assert (by_text, (await danced(one)).claims.email_verified) == (False, True)


@pytest.mark.parametrize("number", [None, "", True, [7], {"a": 1}, 7.5, "x" * 256, "a\0"], ids=range(8))
async def test_hc03_an_account_without_a_subject_is_nobodys(forge: Forge, clock: FrozenClock, number: object) -> None:
    forge.account["user"]["number"] = number

    with pytest.raises(OAuthFailed) as refused:
        await danced(made(forge, clock))

    assert refused.value.reason == "the provider does not say who it is, or not in a way that can be kept"


@pytest.mark.parametrize("account", [None, [], "ada", 7, [{"user": {"number": 7}}]], ids=range(5))
async def test_hc30_an_account_is_an_object(forge: Forge, clock: FrozenClock, account: object) -> None:
    forge.account = account

    with pytest.raises(OAuthFailed) as refused:
        await danced(made(forge, clock))

    assert refused.value.reason == "the account in the answer is no object"


async def test_an_error_that_comes_with_200_is_one(forge: Forge, clock: FrozenClock) -> None:
    forge.error = "bad_verification_code"

    with pytest.raises(OAuthFailed) as refused:
        await danced(made(forge, clock))

    assert refused.value.reason == "the code was answered bad_verification_code"


async def test_hc29_an_answer_of_another_provider_is_none(forge: Forge, clock: FrozenClock) -> None:
    assert await danced(made(forge, clock), iss=[forge.origin])
    with pytest.raises(OAuthFailed) as refused:
        await danced(made(forge, clock), iss=["https://other.example"])

    assert refused.value.reason == "the answer is of another provider (iss)"


@pytest.mark.parametrize("address", [None, "", "  ", 7, ["ada@example.com"], "x" * 255, "a\nb@example.com", "\0"])
async def test_what_is_no_address_is_none(forge: Forge, clock: FrozenClock, address: object) -> None:
    forge.account["user"]["mail"] = address

    claims = (await danced(made(forge, clock, email_claim="user.mail"))).claims

    assert (claims.email, claims.email_verified) == (None, False)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (" Ada ", "Ada"),
        ("A\0d\na", "Ada"),
        ("x" * 300, "x" * 200),
        ("", None),
        ("\u202e", None),
        (7, None),
        (None, None),
    ],
    ids=range(7),
)
async def test_a_name_is_cleaned(forge: Forge, clock: FrozenClock, told: object, name: str | None) -> None:
    forge.account["user"]["called"] = told

    assert (await danced(made(forge, clock, name_claim="user.called"))).claims.name == name


async def test_there_are_no_sessions_to_end(forge: Forge, clock: FrozenClock) -> None:
    one = made(forge, clock)

    assert await one.logout_url("token", "https://app.example/") is None
    assert not one.ends_sessions
    await one.revoke("token", "access_token")
    with pytest.raises(OAuthFailed):
        await one.logged_out("token")


# A stranger's


async def test_a_class_of_ones_own_says_what_an_account_means(forge: Forge, clock: FrozenClock) -> None:
    claims = (await danced(made(forge, clock, kind=ForgeProvider))).claims

    assert claims == Claims(forge.origin, "7", "ada@example.com", email_verified=True)


@pytest.mark.databases("sqlite")
async def test_a_strangers_provider_signs_people_in(database: str, forge: Forge, clock: FrozenClock) -> None:
    plugins = ["defaults", "oauth", ForgePlugin(**forge.options())]
    async with running(database, plugins, clock=clock) as client:
        first = outcome(await dance(client, "forge"))
        client.cookies.clear()
        second = outcome(await dance(client, "forge"))
        there_are = await counted(client)

    assert (first, second) == ("accepted", "accepted")
    assert (there_are["sigra_users"], there_are["sigra_oauth_identities"]) == (1, 1)

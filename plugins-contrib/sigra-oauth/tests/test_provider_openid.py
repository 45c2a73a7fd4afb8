"""An OpenID provider, from where its browser is sent to where its session ends: against one over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest

from sigra.testing import FrozenClock
from sigra_oauth.building import make_outbound, make_provider
from sigra_oauth.errors import GrantLost, OAuthDenied, OAuthFailed, OAuthUnavailable
from sigra_oauth.options import Options, ProviderOptions
from sigra_oauth.provider import Answer, Asked, Claims, Tokens
from sigra_oauth.providers import OAuth2
from tests.oauth.changes import put, without
from tests.oauth.dancing import NONE_TRUSTED
from tests.oauth.fault import Fault
from tests.oauth.hostile import Hostile


def made(provider: Hostile, **options: Any) -> OAuth2:
    own = ProviderOptions(**provider.options(**options))
    return make_provider("hostile", own, make_outbound(Options(), development=True), provider.clock, development=True)


def asking(provider: Hostile, *, again: bool = False, **changes: Any) -> Asked:
    number = str(len(provider.nonces)) * 43
    usual = Asked(provider.callback, f"s{number}", f"n{number}", f"v{number}", again, provider.clock())
    return replace(usual, **changes)


async def came_back(url: str) -> Mapping[str, Sequence[str]]:
    """What the callback is called with by a browser that was there."""
    async with httpx2.AsyncClient(trust_env=False, verify=NONE_TRUSTED) as browser:
        response = await browser.get(url)
    return parse_qs(urlsplit(response.headers["location"]).query)


async def dance(one: OAuth2, asked: Asked) -> Answer:
    return await one.answer(asked, await came_back(await one.authorization_url(asked)))


def fault(**changes: Any) -> Fault:
    return Fault("as a test says", "", **changes)


async def test_whoever_was_there_is_who_the_id_token_says(provider: Hostile, clock: FrozenClock) -> None:
    answer = await dance(made(provider), asking(provider))

    assert answer.claims == Claims(provider.issuer, "sub-ada", "ada@example.com", True, "Ada Lovelace")
    assert answer.session == "session-1"
    assert answer.tokens.expires_at == clock() + timedelta(hours=1)
    assert answer.tokens.scope == "openid email profile"
    assert answer.tokens.access_token and answer.tokens.refresh_token and answer.tokens.id_token
    assert provider.complaints == []
    assert provider.calls["userinfo"] == 0


async def test_a_browser_is_sent_with_all_that_binds_the_answer(provider: Hostile) -> None:
    asked = asking(provider)
    url = await made(provider, parameters={"login_hint": "ada"}).authorization_url(asked)

    sent = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{provider.issuer}/authorize?")
    challenge = sent.pop("code_challenge")
    assert (len(challenge), challenge != asked.code_verifier) == (43, True)
    assert sent == {
        "response_type": "code",
        "client_id": "sigra",
        "redirect_uri": provider.callback,
        "scope": "openid email profile",
        "state": asked.state,
        "nonce": asked.nonce,
        "code_challenge_method": "S256",
        "login_hint": "ada",
    }


async def test_who_must_prove_it_again_is_asked_to(provider: Hostile) -> None:
    sent = dict(parse_qsl(urlsplit(await made(provider).authorization_url(asking(provider, again=True))).query))

    assert (sent["prompt"], sent["max_age"]) == ("login", "0")


async def test_hc29_who_has_not_proven_it_again_has_not(provider: Hostile, clock: FrozenClock) -> None:
    provider.fault = fault(claims=put(auth_time=int(clock().timestamp()) - 600))

    assert await dance(made(provider), asking(provider))
    with pytest.raises(OAuthFailed) as refused:
        await dance(made(provider), asking(provider, again=True))
    assert refused.value.reason == "nobody has proven anything since (auth_time)"


async def test_hc29_who_does_not_say_when_has_not_proven_it_again(provider: Hostile) -> None:
    provider.fault = fault(claims=without("auth_time"))

    with pytest.raises(OAuthFailed) as refused:
        await dance(made(provider), asking(provider, again=True))

    assert refused.value.reason == "the token's auth_time is no time"


async def test_hc29_a_code_of_another_attempt_is_worth_nothing(provider: Hostile) -> None:
    one, first, second = made(provider), asking(provider), asking(provider, nonce="n" * 43, code_verifier="w" * 43)
    callback = await came_back(await one.authorization_url(first))

    with pytest.raises(OAuthFailed) as refused:
        await one.answer(second, callback)

    assert refused.value.reason == "the code was answered invalid_grant"


async def test_hc29_an_id_token_of_another_attempt_is_refused(provider: Hostile) -> None:
    one, asked = made(provider), asking(provider)
    callback = await came_back(await one.authorization_url(asked))

    with pytest.raises(OAuthFailed) as refused:
        await one.answer(replace(asked, nonce="m" * 43), callback)

    assert refused.value.reason == "the token has another nonce"


async def test_hc31_a_code_is_exchanged_once(provider: Hostile) -> None:
    one, asked = made(provider), asking(provider)
    callback = await came_back(await one.authorization_url(asked))
    assert await one.answer(asked, callback)

    with pytest.raises(OAuthFailed):
        await one.answer(asked, callback)


async def test_hc31_what_was_not_allowed_is_not_exchanged(provider: Hostile) -> None:
    with pytest.raises(OAuthDenied):
        await made(provider).answer(asking(provider), {"error": ["access_denied"], "iss": [provider.issuer]})

    assert provider.calls["token"] == 0


@pytest.mark.parametrize("secret", ["a b+c/d=e%f:g&h", "schlüssel", "~._-"])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_secret_of_any_characters_is_one(provider: Hostile, secret: str, method: str) -> None:
    """Encoded like a form before it is put into Basic (RFC 6749, section 2.3.1)."""
    provider.client_secret = secret
    provider.fault = fault(discovery=put(token_endpoint_auth_methods_supported=[method]))

    assert await dance(made(provider), asking(provider))


async def test_a_client_without_a_secret_has_pkce_alone(provider: Hostile) -> None:
    provider.client_secret = ""

    assert await dance(made(provider, client_secret=None, authentication="none"), asking(provider))


async def test_who_is_told_by_the_id_token_is_not_asked_for(provider: Hostile) -> None:
    await dance(made(provider), asking(provider))
    not_asked = provider.calls["userinfo"]
    provider.fault = fault(claims=without("email", "email_verified"))
    answer = await dance(made(provider), asking(provider))

    assert (not_asked, provider.calls["userinfo"]) == (0, 1)
    assert answer.claims.email_verified


async def test_hc02_an_address_is_verified_by_the_document_that_it_stands_in(provider: Hostile) -> None:
    provider.fault = fault(claims=without("email"), userinfo=without("email_verified"))

    claims = (await dance(made(provider), asking(provider))).claims

    assert (claims.email, claims.email_verified) == ("ada@example.com", False)


@pytest.mark.parametrize("sub", ["sub-eve", None, 7, ""])
async def test_hc29_an_account_of_another_is_not_taken(provider: Hostile, sub: object) -> None:
    provider.fault = fault(claims=without("email"), userinfo=put(sub=sub))

    with pytest.raises(OAuthFailed) as refused:
        await dance(made(provider), asking(provider))

    assert refused.value.reason == "the account in the answer is another's (sub)"


async def test_hc02_an_option_says_what_verified_means(provider: Hostile) -> None:
    provider.fault = fault(claims=put(email_verified=True, **{"https://example.com/owned": True}))
    by_url = await dance(made(provider, verified_claim="https://example.com/owned"), asking(provider))
    by_nothing = await dance(made(provider, verified_claim="not.said"), asking(provider))

    assert (by_url.claims.email_verified, by_nothing.claims.email_verified) == (True, False)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id_token": None}, "there is no ID token in the answer"),
        ({"token_type": "mac"}, "the tokens are of another type than bearer"),
        ({"token_type": None}, "the tokens are of another type than bearer"),
        ({"token_type": ["bearer"]}, "the tokens are of another type than bearer"),
        ({"access_token": None}, "there is no access token in the answer"),
        ({"access_token": ""}, "there is no access token in the answer"),
        ({"access_token": 7}, "the access_token in the answer is no token"),
        ({"access_token": "a\nb"}, "the access_token in the answer is no token"),
        ({"access_token": "x" * 20_000}, "the access_token in the answer is no token"),
        ({"refresh_token": ["r"]}, "the refresh_token in the answer is no token"),
        ({"error": "invalid_scope"}, "the code was answered invalid_scope"),
        ({"error": {"message": "s3cret"}}, "the code was answered an error"),
        ({"ok": False, "error": "invalid_code"}, "the code was answered invalid_code"),
        ({"ok": False}, "the code was answered oauth_error"),
    ],
    ids=range(14),
)
async def test_hc30_tokens_are_those_of_the_standard(provider: Hostile, changes: dict[str, Any], told: str) -> None:
    provider.fault = fault(token=put(**changes))

    with pytest.raises(OAuthFailed) as refused:
        await dance(made(provider), asking(provider))

    assert refused.value.reason == told


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        *((60, 60), ("60", 60), (60.5, 60.5), (0, None), (-1, None), ("", None), ("x", None), ("9" * 40, None)),
        *((True, None), (None, None), ([60], None), (10**400, None), (1e300, None)),
    ],
    ids=range(13),
)
async def test_when_a_token_ends_is_told_in_seconds(
    provider: Hostile, clock: FrozenClock, told: object, seconds: float | None
) -> None:
    provider.fault = fault(token=put(expires_in=told, expires_at=told))

    ends = (await dance(made(provider), asking(provider))).tokens.expires_at

    assert ends == (None if seconds is None else clock() + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("told", "scope"),
    [("a b", "a b"), (["a", "b"], "a b"), (["a", 7], "a"), (7, None), (None, None), ("", None), ("a\nb", None)],
    ids=range(7),
)
async def test_scopes_are_told_as_text_or_as_a_list(provider: Hostile, told: object, scope: str | None) -> None:
    provider.fault = fault(token=put(scope=told))

    assert (await dance(made(provider), asking(provider))).tokens.scope == scope


async def test_hc30_proxies_of_the_environment_are_not_asked(
    provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, asked = made(provider), asking(provider)
    callback = await came_back(await one.authorization_url(asked))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.9:1")

    try:
        answer = await one.answer(asked, callback)
    except httpx2.HTTPError:
        answer = None
    assert answer


# Afterwards


async def test_tokens_are_refreshed(provider: Hostile, clock: FrozenClock) -> None:
    one = made(provider)
    first = (await dance(one, asking(provider))).tokens
    clock.tick(timedelta(hours=2))
    second = await one.refresh(first)

    assert second.access_token != first.access_token
    assert second.refresh_token not in (None, first.refresh_token)
    assert second.expires_at == clock() + timedelta(hours=1)
    assert second.id_token == first.id_token


async def test_a_refresh_token_that_is_not_given_anew_stays(provider: Hostile) -> None:
    provider.refreshed = "keep"
    one = made(provider)
    first = (await dance(one, asking(provider))).tokens

    assert (await one.refresh(first)).refresh_token == first.refresh_token


async def test_a_refresh_token_that_has_ended_is_told_from_one_that_cannot_be_used_now(provider: Hostile) -> None:
    one = made(provider)
    tokens = (await dance(one, asking(provider))).tokens

    provider.refreshed = "refuse"
    with pytest.raises(GrantLost):
        await one.refresh(tokens)
    provider.refreshed = "fail"
    with pytest.raises(OAuthUnavailable):
        await one.refresh(tokens)
    provider.refreshed, provider.client_secret = "rotate", "changed since"
    with pytest.raises(OAuthUnavailable) as wrong_secret:
        await one.refresh(tokens)

    assert wrong_secret.value.reason == "the refresh token was answered invalid_client"


async def test_without_a_refresh_token_nothing_is_refreshed(provider: Hostile) -> None:
    with pytest.raises(GrantLost):
        await made(provider).refresh(Tokens("access"))

    assert provider.calls["token"] == 0


async def test_tokens_are_revoked(provider: Hostile) -> None:
    one = made(provider)
    await one.revoke("r", "refresh_token")
    await one.revoke("a", "access_token")

    assert provider.revoked == [("r", "refresh_token"), ("a", "access_token")]


async def test_who_has_no_place_for_it_is_not_asked_to_revoke(provider: Hostile) -> None:
    provider.fault = fault(discovery=without("revocation_endpoint", "end_session_endpoint"))
    one = made(provider)
    await one.revoke("r", "refresh_token")

    assert provider.revoked == []
    assert await one.logout_url("token", "https://app.example/") is None


async def test_a_revocation_that_is_refused_is_not_done(provider: Hostile) -> None:
    one = made(provider)
    provider.client_secret = "changed since"

    with pytest.raises(OAuthFailed) as refused:
        await one.revoke("r", "refresh_token")

    assert refused.value.reason == "the revocation was answered 401"


async def test_a_session_there_ends_by_a_url(provider: Hostile) -> None:
    one = made(provider)
    url = await one.logout_url("id-token", "http://localhost/auth/login")

    assert url is not None and url.startswith(f"{provider.issuer}/logout?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "client_id": "sigra",
        "post_logout_redirect_uri": "http://localhost/auth/login",
        "id_token_hint": "id-token",
    }
    assert "id_token_hint" not in str(await one.logout_url(None, "http://localhost/"))


async def test_a_logout_token_says_who_is_signed_out(provider: Hostile) -> None:
    out = await made(provider).logged_out(provider.logout_token())

    assert (out.issuer, out.subject, out.session) == (provider.issuer, "sub-ada", "session-1")


async def test_hc26_an_id_token_signs_nobody_out(provider: Hostile) -> None:
    one = made(provider)
    tokens = (await dance(one, asking(provider))).tokens

    with pytest.raises(OAuthFailed):
        await one.logged_out(tokens.id_token or "")


def test_one_provider_serves_one_loop_after_the_other(provider: Hostile) -> None:
    one = made(provider)

    for _ in range(2):
        assert asyncio.run(dance(one, asking(provider)))
    assert provider.calls["discovery"] == 1


async def test_no_secret_is_in_a_reason(provider: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong on the way of a code and its tokens, what was sent and what was told are not repeated."""
    provider.client_secret = "s3cret"
    for name in ("token", "userinfo", "keys"):
        provider.fault = fault(
            claims=without("email"),
            instead={name: lambda *_: httpx_response("s3cret")},
        )
        asked = asking(provider, code_verifier="s3cret" * 8)
        with pytest.raises(OAuthFailed) as refused:
            await dance(made(provider), asked)
        assert "s3cret" not in refused.value.reason + str(refused.value) + repr(refused.value)


def httpx_response(text: str) -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text, 400)

"""ID tokens and logout tokens: each rule, broken by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from sigra.testing import FrozenClock
from sigra_oauth import id_tokens, logout_tokens
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.id_tokens import Expected, check_id_token, half_hash
from sigra_oauth.keys import KINDS, PublicKey, read_keys
from sigra_oauth.logout_tokens import EVENT, check_logout_token
from sigra_oauth.provider import LoggedOut
from sigra_oauth.signed import Signed, opened, read_header
from tests.oauth.keys import SigningKey, by_hmac, encoded, signing_key, unsigned

ISSUER, CLIENT, NONCE, CODE = "https://login.example.com", "client", "n" * 43, "code"
KEY = signing_key("first")
NOW = int(FrozenClock()().timestamp())
ABSENT = object()
HUGE = 10**400


class Held:
    """The keys of a provider, fetched already, and those that are there when they are fetched again."""

    def __init__(self, *keys: SigningKey, newer: SigningKey | None = None) -> None:
        self.keys, self.newer, self.hurried = keys, newer, 0

    async def find(self, algorithm: str, kid: str | None, *, other_than: PublicKey | None = None) -> PublicKey:
        key = self.keys[0]
        if other_than is not None:
            self.hurried += 1
            key = self.newer or key
        found = read_keys({"keys": [key.public()]})
        return other_than if other_than is not None and self.newer is None else found[0]


def changed(claims: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**claims, **changes}.items() if value is not ABSENT}


def id_token(**changes: Any) -> Signed:
    claims = {
        "iss": ISSUER,
        "sub": "ada",
        "aud": CLIENT,
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": NONCE,
        "auth_time": NOW,
    }
    return Signed("RS256", changed(claims, changes))


def check(token: Signed, **changes: Any) -> str:
    expected = {
        "issuer": ISSUER,
        "client_id": CLIENT,
        "nonce": NONCE,
        "access_token": "access",
        "code": CODE,
        "now": FrozenClock()(),
        **changes,
    }
    return check_id_token(token, Expected(**expected))


def reason(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(OAuthFailed) as refused:
        call(*arguments, **named)
    return refused.value.reason


def test_a_token_that_holds_says_whose_it_is() -> None:
    assert check(id_token()) == "ada"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT, CLIENT], "azp": CLIENT},
        {"azp": CLIENT},
        {"exp": NOW - 59},
        {"exp": NOW + 0.5},
        {"iat": NOW + 60},
        {"iat": NOW - 86_400},
        {"nbf": NOW + 60},
        {"sub": "x" * 255},
        {"sub": "ä b|c"},
        {"auth_time": ABSENT},
        {"auth_time": 0},
        {"email_verified": "true"},
        {"extra": {"of": ["any", "kind"]}},
    ],
    ids=range(14),
)
def test_what_is_right_is_taken(changes: dict[str, Any]) -> None:
    assert check(id_token(**changes))


TIMES = (ABSENT, None, "1767268800", True, [NOW], {}, -1, 1e300, HUGE, float("nan"), float("inf"))

RULES: tuple[tuple[int, str, dict[str, Any]], ...] = (
    *((26, f"the token is not of {ISSUER}", {"iss": iss}) for iss in (ABSENT, None, "", f"{ISSUER}/", [ISSUER], 7)),
    *((26, "the token is for another client", {"aud": aud}) for aud in (ABSENT, None, "", "other", [], {}, 7, ["x"])),
    (29, "the token has several audiences and no azp", {"aud": [CLIENT, "other"]}),
    (29, "the token is for others, too", {"aud": [CLIENT, "other"], "azp": CLIENT}),
    (29, "the token is for others, too", {"aud": [CLIENT, 7], "azp": CLIENT}),
    *((29, "the token was made for another client (azp)", {"azp": azp}) for azp in ("other", "", 7, [CLIENT])),
    *((26, "the token's exp is no time", {"exp": exp}) for exp in TIMES),
    (26, "the token has expired (exp)", {"exp": NOW - 60}),
    *((26, "the token's iat is no time", {"iat": iat}) for iat in TIMES),
    (26, "the token was not issued lately (iat)", {"iat": NOW + 61}),
    (26, "the token was not issued lately (iat)", {"iat": NOW - 86_401}),
    *((26, "the token's nbf is no time", {"nbf": nbf}) for nbf in TIMES[1:]),
    (26, "the token is not good yet (nbf)", {"nbf": NOW + 61}),
    *(
        (29, "the token has another nonce", {"nonce": nonce})
        for nonce in (ABSENT, None, "", "other", [NONCE], 7, NONCE + "n", "\ud800", "é")
    ),
    *(
        (29, "the token was made for something else (at_hash)", {"at_hash": value})
        for value in (None, "", "other", 7, [], "é", "\ud800")
    ),
    *((29, "the token was made for something else (c_hash)", {"c_hash": value}) for value in (None, "", "other", 7)),
    (3, "the token has no sub", {"sub": ABSENT}),
    (3, "the token has no sub", {"sub": None}),
    *(
        (3, "the token's sub is no text of 1 to 255 characters", {"sub": sub})
        for sub in ("", 7, True, ["ada"], "x" * 256, "a\0b", "a\nb", "\ud800")
    ),
)


def broken(case: int) -> pytest.MarkDecorator:
    """Every rule of that hard case, broken."""
    mine = [(why, changes) for number, why, changes in RULES if number == case]
    return pytest.mark.parametrize(("why", "changes"), mine, ids=range(len(mine)))


@broken(3)
def test_hc03_who_it_is_is_a_text_that_can_be_kept(why: str, changes: dict[str, Any]) -> None:
    assert reason(check, id_token(**changes)) == why


@broken(26)
def test_hc26_a_token_is_of_its_issuer_for_us_and_of_now(why: str, changes: dict[str, Any]) -> None:
    assert reason(check, id_token(**changes)) == why


@broken(29)
def test_hc29_a_token_is_of_this_attempt_and_of_no_other(why: str, changes: dict[str, Any]) -> None:
    assert reason(check, id_token(**changes)) == why


@pytest.mark.parametrize("algorithm", KINDS)
def test_hc29_what_came_with_the_token_belongs_to_it(algorithm: str) -> None:
    made = Signed(algorithm, {})
    hashes = {"at_hash": half_hash(made, "access").decode(), "c_hash": half_hash(made, CODE).decode()}
    token = Signed(algorithm, {**id_token().claims, **hashes})

    assert check(token) == "ada"
    assert "at_hash" in reason(check, token, access_token="another")
    assert "c_hash" in reason(check, token, code="another")


def test_the_hash_is_the_one_of_the_standard() -> None:
    """OpenID Connect Core 1.0, appendix A.3."""
    access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"

    assert half_hash(Signed("RS256", {}), access) == b"77QmUPtjPfzWtF2AnpK9RQ"


def test_hc29_a_proof_that_was_asked_for_was_made_since() -> None:
    began = FrozenClock()() - timedelta(minutes=2)

    assert check(id_token(auth_time=NOW - 120), proven_since=began)
    assert check(id_token(auth_time=NOW - 180), proven_since=began)
    assert reason(check, id_token(auth_time=NOW - 181), proven_since=began) == (
        "nobody has proven anything since (auth_time)"
    )
    assert reason(check, id_token(auth_time=ABSENT), proven_since=began) == "the token's auth_time is no time"


def test_who_never_says_when_is_believed_but_not_against_its_own_word() -> None:
    began = FrozenClock()()

    assert check(id_token(auth_time=ABSENT), proven_since=began, lenient=True)
    assert reason(check, id_token(auth_time=NOW - 600), proven_since=began, lenient=True)
    assert reason(check, id_token(auth_time="now"), proven_since=began, lenient=True)


# Signatures


async def open_(token: object, *keys: SigningKey, announced: Any = (), types: Any = id_tokens.TYPES) -> Signed:
    return await opened(token, Held(*(keys or (KEY,))), types=types, announced=announced)


def header(**changes: Any) -> dict[str, Any]:
    return changed({"alg": "RS256", "kid": "first", "typ": "JWT"}, changes)


CLAIMS = {"sub": "ada"}


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "PS384", "ES256", "ES384", "EdDSA", "Ed25519"])
async def test_what_a_key_of_the_provider_signed_is_opened(algorithm: str) -> None:
    key = signing_key("of its kind", algorithm)

    assert await open_(key.sign(header(alg=algorithm), CLAIMS), key) == Signed(algorithm, CLAIMS)


@pytest.mark.parametrize("typ", [ABSENT, "JWT", "jwt", "application/jwt"], ids=range(4))
async def test_its_type_may_be_left_out(typ: object) -> None:
    assert await open_(KEY.sign(header(typ=typ), CLAIMS))


async def test_headers_that_nobody_knows_are_passed_over() -> None:
    assert await open_(KEY.sign(header(x5c=["A" * 2000], own={"of": "theirs"}), CLAIMS))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "HS256", "HS512", "hs256", "RS1", "ES256K", ""])
async def test_hc26_no_other_algorithm_is_taken(name: str) -> None:
    with pytest.raises(OAuthFailed) as refused:
        await open_(unsigned(header(alg=name), CLAIMS))

    assert refused.value.reason == "the token is signed by an algorithm that is not taken"


@pytest.mark.parametrize("algorithm", [ABSENT, None, 7, ["RS256"], {}], ids=range(5))
async def test_hc26_a_token_says_how_it_is_signed(algorithm: object) -> None:
    with pytest.raises(OAuthFailed):
        await open_(KEY.sign(header(alg=algorithm), CLAIMS))


@pytest.mark.parametrize("claimed", ["HS256", "RS256"])
async def test_hc26_a_public_key_is_no_secret(claimed: str) -> None:
    secret = json.dumps(KEY.public()).encode()

    with pytest.raises(OAuthFailed):
        await open_(by_hmac(secret, header(alg=claimed), CLAIMS))


async def test_hc26_a_signature_is_by_the_providers_key_and_of_what_was_signed() -> None:
    token = KEY.sign(header(), CLAIMS)
    first, payload, signature = token.split(".")
    other = encoded(json.dumps({"sub": "eve"}).encode())

    for bad in (
        signing_key("other").sign(header(), CLAIMS),
        f"{first}.{other}.{signature}",
        f"{encoded(json.dumps(header(kid='x')).encode())}.{payload}.{signature}",
        f"{first}.{payload}.",
        f"{first}.{payload}.{signature[:-4]}",
        f"{first}.{payload}.!!!!",
    ):
        with pytest.raises(OAuthFailed) as refused:
            await open_(bad)
        assert refused.value.reason == "the token's signature does not hold"


async def test_hc26_a_key_that_the_token_brings_is_not_looked_at() -> None:
    eve = signing_key("eve")
    brought = {"jwk": eve.public(), "jku": "https://eve.example/keys", "x5u": "https://eve.example/x", "x5c": ["AAAA"]}

    for name, value in brought.items():
        with pytest.raises(OAuthFailed):
            await open_(eve.sign(header(**{name: value}), CLAIMS))
        assert await open_(KEY.sign(header(**{name: value}), CLAIMS))


@pytest.mark.parametrize("critical", [[], ["exp"], ["b64"], "exp", None, 7], ids=range(6))
async def test_hc26_nothing_critical_is_known(critical: object) -> None:
    with pytest.raises(OAuthFailed) as refused:
        await open_(KEY.sign(header(crit=critical, b64=True), CLAIMS))

    assert refused.value.reason == "the token has critical headers, and none is known"


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "secevent+jwt", "JOSE", "", 7, ["JWT"]], ids=range(7))
async def test_hc26_a_token_of_another_type_is_refused(typ: object) -> None:
    with pytest.raises(OAuthFailed) as refused:
        await open_(KEY.sign(header(typ=typ), CLAIMS))

    assert refused.value.reason == "the token is of another type"


@pytest.mark.parametrize("kid", [7, None, ["first"], {}], ids=range(4))
async def test_hc26_the_name_of_a_key_is_a_text(kid: object) -> None:
    with pytest.raises(OAuthFailed):
        await open_(KEY.sign(header(kid=kid), CLAIMS))


async def test_hc26_only_what_the_provider_announces_is_taken() -> None:
    token = KEY.sign(header(), CLAIMS)

    assert await open_(token, announced=frozenset({"RS256", "ES256"}))
    with pytest.raises(OAuthFailed) as refused:
        await open_(token, announced=frozenset({"ES256", "HS256"}))
    assert refused.value.reason == "the token is signed by RS256, which the provider has not announced"


HEAD = encoded(json.dumps(header()).encode())

GARBAGE = (
    None,
    7,
    "",
    ".",
    "..",
    "a.b",
    "a.b.c",
    "a.b.c.d.e",
    f"{HEAD}..",
    "é.é.é",
    f"{encoded(b'[]')}.e30.AA",
    f"{encoded(b'null')}.e30.AA",
    f"{encoded(b'{')}.e30.AA",
    f"{encoded(b'[' * 20_000)}.e30.AA",
    encoded(b"\xff") + ".e30.AA",
    "=.=.=",
    f"{HEAD}.{'A' * 70_000}.AA",
    KEY.sign(header(long="x" * 20_000), CLAIMS),
)


@pytest.mark.parametrize("token", GARBAGE, ids=range(len(GARBAGE)))
async def test_hc26_garbage_is_refused(token: object) -> None:
    with pytest.raises(OAuthFailed):
        await open_(token)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"7", b"{", b'{"a":NaN}', b"[" * 20_000, b"\xff"])
async def test_hc26_a_payload_is_an_object(payload: bytes) -> None:
    from joserfc.jws import JWSRegistry

    signed = f"{HEAD}.{encoded(payload)}"
    signature = JWSRegistry.algorithms["RS256"].sign(signed.encode(), KEY.key)

    with pytest.raises(OAuthFailed):
        await open_(f"{signed}.{encoded(signature)}")


async def test_hc30_a_key_that_was_changed_under_its_name_is_fetched_again() -> None:
    newer = signing_key("newer")
    held = Held(KEY, newer=newer)

    assert await opened(newer.sign(header(), CLAIMS), held, types=id_tokens.TYPES, announced=())
    assert held.hurried == 1


def test_a_header_is_read_without_any_key() -> None:
    assert read_header(KEY.sign(header(), CLAIMS), id_tokens.TYPES)["kid"] == "first"


def test_a_token_is_in_no_repr() -> None:
    shown = repr(id_token()) + repr(
        Expected(issuer=ISSUER, client_id=CLIENT, nonce="s3cret", access_token="s3cret", code="s3cret", now=None)
    )

    assert "s3cret" not in shown and "ada" not in shown


# Logout tokens


def logout_token(**changes: Any) -> Signed:
    claims = {
        "iss": ISSUER,
        "sub": "ada",
        "sid": "session",
        "aud": CLIENT,
        "exp": NOW + 120,
        "iat": NOW,
        "jti": "1",
        "events": {EVENT: {}},
    }
    return Signed("RS256", changed(claims, changes))


def check_logout(token: Signed) -> LoggedOut:
    return check_logout_token(token, issuer=ISSUER, client_id=CLIENT, now=FrozenClock()())


def test_a_logout_token_says_who_is_signed_out() -> None:
    until = FrozenClock()() + timedelta(seconds=180)

    assert check_logout(logout_token()) == LoggedOut(ISSUER, "1", until, "ada", "session")
    assert check_logout(logout_token(sid=ABSENT)).session is None
    assert check_logout(logout_token(sub=ABSENT)).subject is None
    assert check_logout(logout_token(events={EVENT: {}, "https://other.example/": {}}))


def test_a_replay_is_remembered_for_as_long_as_it_would_be_taken() -> None:
    """However long the token says that it is good: it is not taken a day after it was issued."""
    told = check_logout(logout_token(exp=NOW + 10**9, iat=NOW - 60))

    assert told.expires_at == FrozenClock()() + timedelta(days=1) - timedelta(seconds=60)


LOGOUT_RULES = (
    *(("the token is not of", {"iss": iss}) for iss in (ABSENT, "https://other.example")),
    *(("the token is for another client", {"aud": aud}) for aud in (ABSENT, "other")),
    *(("the token's exp is no time", {"exp": exp}) for exp in (ABSENT, None, "1")),
    ("the token has expired (exp)", {"exp": NOW - 60}),
    ("the token's iat is no time", {"iat": ABSENT}),
    ("the token was not issued lately (iat)", {"iat": NOW + 61}),
    *(
        ("the token is of no sign-out (events)", {"events": events})
        for events in (ABSENT, None, {}, [], EVENT, [EVENT], {EVENT: None}, {EVENT: True}, {"https://x.example": {}})
    ),
    *(("the token has a nonce, and an ID token is no logout token", {"nonce": nonce}) for nonce in ("n", None, "")),
    ("the token names nobody (sub, sid)", {"sub": ABSENT, "sid": ABSENT}),
    *(("the token's sub is no text", {"sub": sub}) for sub in ("", 7, "x" * 256)),
    *(("the token's sid or jti is no text that can be kept", {"sid": sid}) for sid in ("", 7, "x" * 256, "\0")),
    *(("the token's sid or jti is no text that can be kept", {"jti": jti}) for jti in ("", 7, "x" * 256)),
    ("the token has no jti", {"jti": ABSENT}),
)


@pytest.mark.parametrize(("why", "changes"), LOGOUT_RULES, ids=range(len(LOGOUT_RULES)))
def test_hc26_a_logout_token_that_breaks_a_rule_signs_nobody_out(why: str, changes: dict[str, Any]) -> None:
    assert reason(check_logout, logout_token(**changes)).startswith(why)


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "JWT", ABSENT], ids=range(4))
async def test_a_logout_token_has_its_type_or_the_common_one(typ: object) -> None:
    assert await open_(KEY.sign(header(typ=typ), CLAIMS), types=logout_tokens.TYPES)


async def test_hc26_a_logout_token_has_no_other_type() -> None:
    with pytest.raises(OAuthFailed):
        await open_(KEY.sign(header(typ="at+jwt"), CLAIMS), types=logout_tokens.TYPES)

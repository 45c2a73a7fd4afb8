"""ID tokens that do not hold."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.oauth.changes import (
    after,
    anonymous,
    another,
    by,
    by_public_key,
    by_secret,
    damaged,
    foreign_jwks,
    none,
    own,
    published,
    put,
    swapped,
    weak,
    without,
)
from tests.oauth.fault import Fault
from tests.oauth.keys import SigningKey, by_hmac, encoded, signing_key

UNAVAILABLE = "oauth_unavailable"
OPENID = "oidcc-client-test"

WRONG_TOKENS: Mapping[str, Fault] = {
    # The ID token (hard cases 26 and 29)
    "nonce-invalid": Fault(
        "sends another nonce", cases=(29,), module=f"{OPENID}-nonce-invalid", claims=put(nonce="n" * 43)
    ),
    "nonce-missing": Fault("sends no nonce", cases=(29,), claims=without("nonce")),
    "nonce-as-number": Fault("sends a nonce that is no string", cases=(29,), claims=put(nonce=1)),
    "nonce-replayed": Fault(
        "sends the nonce of an earlier sign-in",
        cases=(29,),
        claims=lambda provider, claims: {**claims, "nonce": provider.nonces[0]},
        warm=True,
    ),
    "iat-missing": Fault("sends no iat", cases=(26,), module=f"{OPENID}-missing-iat", claims=without("iat")),
    "iat-ahead": Fault("says that it was made in an hour", cases=(26,), claims=put(iat=after(3600), exp=after(7200))),
    "iat-old": Fault("says that it was made last week", cases=(26,), claims=put(iat=after(-7 * 86400))),
    "iat-as-text": Fault("sends iat as text", cases=(26,), claims=put(iat="2026-01-01T12:00:00Z")),
    "exp-missing": Fault("sends no exp", cases=(26,), claims=without("exp")),
    "exp-past": Fault("is expired", cases=(26,), claims=put(iat=after(-7200), exp=after(-3600))),
    "exp-as-text": Fault("sends exp as text", cases=(26,), claims=put(exp="never")),
    "exp-without-end": Fault("sends exp as infinity", cases=(26,), claims=put(exp=float("inf"))),
    "nbf-ahead": Fault("is not valid yet", cases=(26,), claims=put(nbf=after(3600))),
    "sub-missing": Fault("sends no sub", cases=(3, 26), module=f"{OPENID}-missing-sub", claims=without("sub")),
    "sub-empty": Fault("sends an empty sub", cases=(3,), claims=put(sub="")),
    "sub-as-number": Fault("sends a sub that is no string", cases=(3,), claims=put(sub=7)),
    "sub-too-long": Fault("sends a sub of 256 characters", cases=(3,), claims=put(sub="s" * 256)),
    "sub-with-nul": Fault("sends a sub with NUL", cases=(3,), claims=put(sub="sub-ada\x00")),
    "aud-missing": Fault("sends no aud", cases=(26, 29), module=f"{OPENID}-missing-aud", claims=without("aud")),
    "aud-other": Fault(
        "is for another client", cases=(26, 29), module=f"{OPENID}-invalid-aud", claims=put(aud="other")
    ),
    "aud-empty": Fault("is for nobody", cases=(26, 29), claims=put(aud=[])),
    "aud-longer": Fault("is for a client whose name begins as ours", cases=(29,), claims=put(aud="sigra2")),
    "aud-several": Fault("is for two clients, without azp", cases=(29,), claims=put(aud=["sigra", "other"])),
    "aud-several-azp": Fault("is for two, azp ours", cases=(29,), claims=put(aud=["sigra", "other"], azp="sigra")),
    "aud-several-azp-other": Fault(
        "is for two, azp not us", cases=(29,), claims=put(aud=["sigra", "other"], azp="other")
    ),
    "azp-other": Fault("is for us, azp not us", cases=(29,), claims=put(azp="other")),
    "iss-other": Fault(
        "is of another issuer",
        cases=(26, 29),
        module=f"{OPENID}-invalid-iss",
        claims=put(iss="https://accounts.example.com"),
    ),
    "iss-missing": Fault("is of nobody", cases=(26, 29), claims=without("iss")),
    "iss-with-slash": Fault(
        "writes its issuer otherwise", cases=(29,), claims=put(iss=lambda provider: f"{provider.issuer}/")
    ),
    "at-hash-wrong": Fault(
        "sends the at_hash of another token",
        cases=(29,),
        module=f"{OPENID}-invalid-at-hash",
        claims=put(at_hash="LDktKdoQak3Pk0cnXxCltA"),
    ),
    "at-hash-empty": Fault("sends an empty at_hash", cases=(29,), claims=put(at_hash="")),
    "at-hash-as-number": Fault("sends an at_hash that is no string", cases=(29,), claims=put(at_hash=1)),
    "alg-none": Fault("signs not at all", cases=(26,), module=f"{OPENID}-idtoken-sig-none", signed=none("none")),
    "alg-none-capital": Fault("signs not at all, with a capital", cases=(26,), signed=none("None")),
    "alg-none-capitals": Fault("signs not at all, in capitals", cases=(26,), signed=none("NONE")),
    "alg-empty": Fault("names no algorithm", cases=(26,), signed=none("")),
    "alg-not-signed": Fault("names an algorithm, signs not", cases=(26,), signed=none("RS256")),
    "alg-none-announced": Fault(
        "announces that it signs not, and does so",
        cases=(26,),
        discovery=put(id_token_signing_alg_values_supported=["none"]),
        signed=none("none"),
    ),
    "sig-damaged": Fault(
        "sends a signature that does not hold", cases=(26,), module=f"{OPENID}-invalid-sig-rs256", signed=damaged
    ),
    "sig-damaged-es256": Fault(
        "sends a signature by ES256 that does not hold",
        cases=(26,),
        module=f"{OPENID}-invalid-sig-es256",
        keys=published(another("ec", "ES256")),
        key=by("ec", "ES256"),
        signed=damaged,
    ),
    "sig-of-another": Fault("sends the signature of other claims", cases=(26,), signed=swapped),
    "sig-by-another": Fault(
        "signs with another key of the same kid",
        cases=(26,),
        key=lambda provider: SigningKey(signing_key("third").key, "RS256", provider.key.kid),
    ),
    "hs256-by-public-key": Fault(
        "signs by HS256 with its public key", cases=(26,), module=f"{OPENID}-invalid-sig-hs256", signed=by_public_key
    ),
    "hs256-by-secret": Fault("signs by HS256 with our secret", cases=(26,), signed=by_secret),
    "hs256-announced": Fault(
        "announces HS256, and signs by it with our secret",
        cases=(26,),
        discovery=put(id_token_signing_alg_values_supported=["HS256"]),
        signed=by_secret,
    ),
    "hs256-published": Fault(
        "publishes the key of HS256 that it signs with",
        cases=(26,),
        keys=published(own, lambda _: {"kty": "oct", "k": encoded(b"k" * 32), "kid": "oct", "alg": "HS256"}),
        signed=lambda _, header, claims: by_hmac(b"k" * 32, {**header, "alg": "HS256", "kid": "oct"}, claims),
    ),
    "alg-of-another-key": Fault(
        "names an algorithm that its key is not for",
        cases=(26,),
        keys=lambda provider, _: {"keys": [provider.key.public(alg="PS256")]},
    ),
    "key-for-encryption": Fault(
        "signs with a key for encryption",
        cases=(26,),
        keys=lambda provider, _: {"keys": [provider.key.public(use="enc")]},
    ),
    "key-weak": Fault(
        "signs with an RSA key of 1024 bits (RFC 7518, section 3.3)",
        cases=(26,),
        keys=published(lambda _: weak().public()),
        key=lambda _: weak(),
    ),
    "key-told-in-public": Fault(
        "publishes its private key",
        cases=(26, 30),
        keys=lambda provider, _: {"keys": [provider.key.private()]},
    ),
    "jwk-in-header": Fault(
        "brings its key along",
        cases=(26,),
        key=by("third"),
        header=lambda _, header: {**header, "jwk": signing_key("third").public()},
    ),
    "jku-in-header": Fault("says where its key is", cases=(26,), key=by("third"), header=put(jku=foreign_jwks)),
    "x5u-in-header": Fault("says where its certificate is", cases=(26,), key=by("third"), header=put(x5u=foreign_jwks)),
    "kid-as-path": Fault("names a file as kid", cases=(26,), header=put(kid="../../../../dev/null")),
    "kid-as-number": Fault("sends a kid that is no string", cases=(26,), header=put(kid=1)),
    "kid-unknown": Fault("names a key that it does not publish", cases=(26, 30), header=put(kid="nowhere")),
    "kid-absent-multiple": Fault(
        "names no kid, and has two keys",
        cases=(26,),
        module=f"{OPENID}-kid-absent-multiple-jwks",
        keys=lambda provider, _: {
            "keys": [anonymous(signing_key("second")).public(), anonymous(provider.key).public()]
        },
        key=lambda provider: anonymous(provider.key),
    ),
    "crit-unknown": Fault("demands what we do not know", cases=(26,), header=put(crit=["exp"], exp=after(300))),
    "crit-empty": Fault("demands nothing, which is not allowed", cases=(26,), header=put(crit=[])),
    "unencoded": Fault("signs what is not encoded (RFC 7797)", cases=(26,), header=put(b64=False, crit=["b64"])),
    "typ-of-a-logout": Fault("sends a logout token", cases=(18, 26), header=put(typ="logout+jwt")),
    "typ-of-access": Fault("sends an access token as ID token", cases=(18, 26), header=put(typ="at+jwt")),
    "encrypted": Fault("sends five parts", cases=(26,), signed=lambda *_: "e30.e30.e30.e30.e30"),
    "no-token-at-all": Fault("sends text as ID token", cases=(26,), signed=lambda *_: "no token"),
    "claims-no-object": Fault(
        "sends a list as claims", cases=(26,), signed=lambda provider, header, _: provider.key.sign(header, [1])
    ),
    "deep": Fault(
        "sends claims a thousand deep",
        cases=(30,),
        claims=lambda _, claims: {**claims, "deep": json.loads("[" * 900 + "]" * 900)},
        outcome="accepted",
    ),
}

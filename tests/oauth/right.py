"""Providers that do nothing wrong, each otherwise than the next; and what they say of addresses."""

from __future__ import annotations

from collections.abc import Mapping

from tests.oauth.changes import all_of, anonymous, another, by, own, published, put, rotated, without
from tests.oauth.fault import Fault

UNAVAILABLE = "oauth_unavailable"
OPENID = "oidcc-client-test"

RIGHT: Mapping[str, Fault] = {
    # What is right
    "sound": Fault("nothing wrong", "accepted", module=OPENID),
    "client-secret-basic": Fault(
        "takes the client's secret by Basic alone",
        "accepted",
        module=f"{OPENID}-client-secret-basic",
        discovery=put(token_endpoint_auth_methods_supported=["client_secret_basic"]),
    ),
    "client-secret-post": Fault(
        "takes the client's secret by form alone",
        "accepted",
        discovery=put(token_endpoint_auth_methods_supported=["client_secret_post"]),
    ),
    "configuration": Fault("is found by its issuer", "accepted", module=f"{OPENID}-discovery-openid-config"),
    "jwks-uri": Fault(
        "publishes several keys of several kinds",
        "accepted",
        module=f"{OPENID}-discovery-jwks-uri-keys",
        keys=published(another(), another("ec", "ES256"), own, another("ed", "EdDSA")),
    ),
    "rs256": Fault("signs with RS256", "accepted", module=f"{OPENID}-idtoken-sig-rs256"),
    "ps256": Fault("signs with PS256", "accepted", keys=published(another("ps", "PS256")), key=by("ps", "PS256")),
    "es256": Fault("signs with ES256", "accepted", keys=published(another("ec", "ES256")), key=by("ec", "ES256")),
    "eddsa": Fault("signs with EdDSA", "accepted", keys=published(another("ed", "EdDSA")), key=by("ed", "EdDSA")),
    "no-typ": Fault("names no type", "accepted", header=without("typ")),
    "no-at-hash": Fault("sends no at_hash", "accepted", (29,), claims=without("at_hash")),
    "one-audience-in-a-list": Fault("sends aud as a list of one", "accepted", (29,), claims=put(aud=["sigra"])),
    "azp-of-ours": Fault("names us as azp", "accepted", (29,), claims=put(azp="sigra")),
    "kid-absent-single": Fault(
        "names no kid, and has one key",
        "accepted",
        (26,),
        f"{OPENID}-kid-absent-single-jwks",
        keys=lambda provider, _: {"keys": [anonymous(provider.key).public()]},
        key=lambda provider: anonymous(provider.key),
    ),
    "unparseable-keys": Fault(
        "publishes keys of kinds unknown today, too",
        "accepted",
        (30,),
        f"{OPENID}-ignores-unparseable-key-in-jwks",
        keys=published(
            lambda _: {"kty": "AKP", "alg": "ML-DSA-1024", "kid": "future", "pub": "AAAA"},
            lambda _: {"kty": "NEW", "kid": "newer"},
            lambda _: {"kty": "RSA", "kid": "half"},
            own,
        ),
    ),
    "rotated-just-before": Fault(
        "signs with a key that it published just now",
        "accepted",
        (30,),
        f"{OPENID}-signing-key-rotation-just-before-signing",
        key=rotated,
        warm=True,
    ),
    "rotated": Fault(
        "signs with another key than an hour ago, and publishes both",
        "accepted",
        (30,),
        f"{OPENID}-signing-key-rotation",
        keys=published(another("first"), another("second")),
        key=by("second"),
        warm=True,
    ),
    "claims-by-userinfo": Fault(
        "tells the address at UserInfo alone",
        "accepted",
        module=f"{OPENID}-scope-userinfo-claims",
        claims=without("email", "email_verified", "name"),
    ),
    "userinfo-by-header": Fault(
        "takes the access token by header alone",
        "accepted",
        module=f"{OPENID}-userinfo-bearer-header",
        claims=without("email", "email_verified"),
    ),
    "aggregated-claims": Fault(
        "sends claims of others, signed by them",
        "accepted",
        (30,),
        f"{OPENID}-aggregated-claims",
        claims=put(_claim_names={"address": "src1"}, _claim_sources={"src1": {"JWT": "e30.e30.e30"}}),
    ),
    "distributed-claims": Fault(
        "sends addresses where others tell claims",
        "accepted",
        (30,),
        f"{OPENID}-distributed-claims",
        claims=put(
            _claim_names={"email_verified": "src1"},
            _claim_sources=lambda provider: {"src1": {"endpoint": f"{provider.issuer}/stolen/claims"}},
        ),
    ),
    "bearer-in-capitals": Fault("says BEARER", "accepted", token=put(token_type="BEARER")),
    # Addresses (hard case 2)
    "verified-as-text": Fault('says email_verified "true"', "unverified", (2,), claims=put(email_verified="true")),
    "verified-as-number": Fault("says email_verified 1", "unverified", (2,), claims=put(email_verified=1)),
    "verified-as-list": Fault("says email_verified [true]", "unverified", (2,), claims=put(email_verified=[True])),
    "not-verified": Fault("says email_verified false", "unverified", (2,), claims=put(email_verified=False)),
    "verified-unsaid": Fault(
        "says nothing of email_verified",
        "unverified",
        (2,),
        claims=without("email_verified"),
        userinfo=without("email_verified"),
    ),
    "verified-by-userinfo-as-text": Fault(
        'says email_verified "true" at UserInfo',
        "unverified",
        (2,),
        claims=without("email", "email_verified"),
        userinfo=put(email_verified="true"),
    ),
    "verified-of-another-address": Fault(
        "verifies one address in the ID token, and tells another at UserInfo",
        "unverified",
        (2,),
        claims=without("email"),
        userinfo=all_of(put(email="ada@example.com"), without("email_verified")),
    ),
}

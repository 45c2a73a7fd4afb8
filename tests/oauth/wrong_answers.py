"""Answers of endpoints that cannot be trusted, or never end."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from tests.oauth.changes import (
    broken,
    dripping,
    endless,
    exploding,
    instead,
    page,
    problem,
    put,
    redirected,
    sent,
    to_itself,
    without,
)
from tests.oauth.fault import Fault

UNAVAILABLE = "oauth_unavailable"
OPENID = "oidcc-client-test"

WRONG_ANSWERS: Mapping[str, Fault] = {
    # UserInfo
    "userinfo-sub-other": Fault(
        "tells of somebody else at UserInfo",
        cases=(3, 29),
        module=f"{OPENID}-userinfo-invalid-sub",
        claims=without("email", "email_verified"),
        userinfo=put(sub="sub-eve"),
    ),
    "userinfo-sub-missing": Fault(
        "tells of nobody at UserInfo",
        cases=(3, 29),
        claims=without("email", "email_verified"),
        userinfo=without("sub"),
    ),
    "userinfo-no-json": Fault(
        "sends a page at UserInfo", cases=(30,), claims=without("email", "email_verified"), **instead("userinfo", page)
    ),
    "userinfo-redirects": Fault(
        "sends us elsewhere for UserInfo",
        cases=(30,),
        claims=without("email", "email_verified"),
        **instead("userinfo", redirected),
    ),
    "userinfo-endless": Fault(
        "sends a GiB at UserInfo",
        cases=(30,),
        claims=without("email", "email_verified"),
        **instead("userinfo", endless),
    ),
    "userinfo-down": Fault(
        "fails at UserInfo",
        UNAVAILABLE,
        (30,),
        claims=without("email", "email_verified"),
        **instead("userinfo", problem(503, "down")),
    ),
    # The token endpoint (hard case 30)
    "token-without-id-token": Fault("sends no ID token", cases=(26,), token=without("id_token")),
    "token-id-token-as-number": Fault("sends an ID token that is no string", cases=(26,), token=put(id_token=7)),
    "token-mac": Fault("says token_type mac", cases=(30,), token=put(token_type="mac")),
    "token-without-type": Fault("says no token_type", cases=(30,), token=without("token_type")),
    "token-without-access": Fault("sends no access token", cases=(30,), token=without("access_token")),
    "token-access-as-number": Fault("sends an access token that is no string", cases=(30,), token=put(access_token=7)),
    "token-huge-fields": Fault(
        "sends an access token of half a MiB", cases=(30,), token=put(access_token="a" * 512 * 1024)
    ),
    "token-list": Fault("sends a list of tokens", cases=(30,), token=lambda _, body: JSONResponse([body])),
    "token-page": Fault("sends a page for tokens", cases=(30,), **instead("token", page)),
    "token-no-json": Fault("sends half a JSON", cases=(30,), token=sent('{"access_token": "')),
    "token-deep": Fault("sends JSON without an end", cases=(30,), token=sent("[" * 200_000)),
    "token-no-text": Fault("sends bytes that are no text", cases=(30,), token=sent(b"\xff\xfe\x00\x01")),
    "token-refused": Fault("refuses the code", cases=(30,), **instead("token", problem(400, "invalid_grant"))),
    "token-unauthorized": Fault("refuses the client", cases=(30,), **instead("token", problem(401, "invalid_client"))),
    "token-down": Fault("is down", UNAVAILABLE, (30,), **instead("token", problem(500, "server_error"))),
    "token-busy": Fault("is busy", UNAVAILABLE, (30,), **instead("token", problem(429, "slow_down"))),
    "token-redirects": Fault("sends us elsewhere for tokens", cases=(30,), **instead("token", redirected)),
    "token-redirects-to-itself": Fault("sends us around for tokens", cases=(30,), **instead("token", to_itself)),
    "token-endless": Fault("sends a GiB of tokens", cases=(30,), **instead("token", endless)),
    "token-explodes": Fault("sends 8 MiB in few bytes", cases=(30,), **instead("token", exploding)),
    "token-hangs-up": Fault("hangs up in the middle", UNAVAILABLE, (30,), **instead("token", broken)),
    "token-drips": Fault("sends a byte now and then", UNAVAILABLE, (30,), **instead("token", dripping)),
    # Its configuration (hard case 30)
    "issuer-other": Fault(
        "calls itself otherwise",
        cases=(29, 30),
        module=f"{OPENID}-discovery-issuer-mismatch",
        discovery=put(issuer="https://accounts.example.com"),
    ),
    "issuer-with-slash": Fault(
        "writes its name otherwise", cases=(30,), discovery=put(issuer=lambda provider: f"{provider.issuer}/")
    ),
    "issuer-missing": Fault("has no name", cases=(30,), discovery=without("issuer")),
    "configuration-list": Fault("has a list as configuration", cases=(30,), discovery=lambda *_: JSONResponse([])),
    "configuration-page": Fault("has a page as configuration", cases=(30,), **instead("discovery", page)),
    "configuration-redirects": Fault(
        "has its configuration elsewhere", cases=(30,), **instead("discovery", redirected)
    ),
    "configuration-endless": Fault("has a GiB of configuration", cases=(30,), **instead("discovery", endless)),
    "configuration-explodes": Fault("has a packed configuration", cases=(30,), **instead("discovery", exploding)),
    "configuration-missing": Fault("has no configuration", cases=(30,), **instead("discovery", problem(404, "none"))),
    "configuration-down": Fault("is down at once", UNAVAILABLE, (30,), **instead("discovery", problem(502, "down"))),
    "configuration-drips": Fault("is slow at once", UNAVAILABLE, (30,), **instead("discovery", dripping)),
    "without-token-endpoint": Fault("has no place for codes", cases=(30,), discovery=without("token_endpoint")),
    "without-keys": Fault("has no place for keys", cases=(30,), discovery=without("jwks_uri")),
    "authorization-by-script": Fault(
        "sends people to a script", cases=(30,), discovery=put(authorization_endpoint="javascript:alert(1)//")
    ),
    "authorization-in-the-clear": Fault(
        "sends people to http", cases=(30,), discovery=put(authorization_endpoint="http://accounts.example.com/a")
    ),
    "token-at-a-private-address": Fault(
        "has its place for codes in our network", cases=(30,), discovery=put(token_endpoint="https://10.0.0.1/token")
    ),
    "token-at-the-metadata": Fault(
        "has its place for codes where clouds tell secrets",
        cases=(30,),
        discovery=put(token_endpoint="http://169.254.169.254/latest/"),
    ),
    "token-at-a-mapped-address": Fault(
        "has its place for codes at a private address, mapped",
        cases=(30,),
        discovery=put(token_endpoint="https://[::ffff:10.0.0.1]/token"),
    ),
    "token-at-a-file": Fault(
        "has its place for codes in a file", cases=(30,), discovery=put(token_endpoint="file:///etc/passwd")
    ),
    "keys-at-a-private-address": Fault(
        "has its keys in our network", cases=(30,), discovery=put(jwks_uri="https://192.168.0.1/jwks")
    ),
    "keys-page": Fault("has a page as keys", cases=(30,), **instead("keys", page)),
    "keys-none": Fault("has no keys", cases=(30,), keys=put(keys=[])),
    "keys-no-list": Fault("has keys that are no list", cases=(30,), keys=put(keys={"first": 1})),
    "keys-of-no-kind": Fault("has keys that are text", cases=(30,), keys=put(keys=["first", 1, None, []])),
    "keys-endless": Fault("has a GiB of keys", cases=(30,), **instead("keys", endless)),
    "keys-down": Fault("is down for keys", UNAVAILABLE, (30,), **instead("keys", problem(503, "down"))),
    "keys-redirect": Fault("has its keys elsewhere", cases=(30,), **instead("keys", redirected)),
}

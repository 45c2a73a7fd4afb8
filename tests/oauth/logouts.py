"""Logout tokens that do not hold, and some that do: a table.

The names of the modules are those of the OpenID Foundation's plan `oidcc-client-back-channel-logout-rp-basic`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.oauth.changes import after, by, by_public_key, by_secret, damaged, none, put, without
from tests.oauth.fault import Fault
from tests.oauth.hostile import LOGOUT_EVENT
from tests.oauth.keys import signing_key

MODULE = "oidcc-client-test-rp-backchannel-rpinitlogout"
MODULES = frozenset(
    f"{MODULE}{name}"
    for name in ("", "-alg-none", "-no-event", "-with-nonce", "-wrong-alg", "-wrong-aud", "-wrong-event", "-wrong-iss")
)

LOGOUTS: Mapping[str, Fault] = {
    "sound": Fault("nothing wrong", "accepted", module=MODULE),
    "of-type-jwt": Fault("is of type JWT", "accepted", header=put(typ="JWT")),
    "without-type": Fault("is of no type", "accepted", header=without("typ")),
    "without-sid": Fault("names the subject alone", "accepted", claims=without("sid")),
    "without-sub": Fault("names the session alone", "accepted", claims=without("sub")),
    "one-audience-in-a-list": Fault("sends aud as a list of one", "accepted", claims=put(aud=["sigra"])),
    "event-with-more": Fault(
        "tells more events", "accepted", claims=put(events={LOGOUT_EVENT: {}, "https://example.com/other": {"a": 1}})
    ),
    "alg-none": Fault("signs not at all", cases=(26,), module=f"{MODULE}-alg-none", signed=none("none")),
    "alg-none-capital": Fault("signs not at all, with a capital", cases=(26,), signed=none("None")),
    "hs256-by-secret": Fault(
        "signs by HS256 with our secret", cases=(26,), module=f"{MODULE}-wrong-alg", signed=by_secret
    ),
    "hs256-by-public-key": Fault("signs by HS256 with its public key", cases=(26,), signed=by_public_key),
    "sig-damaged": Fault("sends a signature that does not hold", cases=(26,), signed=damaged),
    "sig-by-another": Fault("signs with a key that it does not publish", cases=(26,), key=by("third")),
    "jwk-in-header": Fault(
        "brings its key along", cases=(26,), key=by("third"), header=put(jwk=lambda _: signing_key("third").public())
    ),
    "crit-unknown": Fault("demands what we do not know", cases=(26,), header=put(crit=["exp"], exp=after(300))),
    "typ-of-access": Fault("is an access token", cases=(18, 26), header=put(typ="at+jwt")),
    "event-missing": Fault("tells no events", cases=(18, 26), module=f"{MODULE}-no-event", claims=without("events")),
    "event-other": Fault(
        "tells another event",
        cases=(18, 26),
        module=f"{MODULE}-wrong-event",
        claims=put(events={"http://schemas.openid.net/event/wrong-logout": {}}),
    ),
    "event-as-text": Fault("tells the event as text", cases=(26,), claims=put(events=LOGOUT_EVENT)),
    "event-in-a-list": Fault("tells the event in a list", cases=(26,), claims=put(events=[LOGOUT_EVENT])),
    "event-of-text": Fault("tells the event with text", cases=(26,), claims=put(events={LOGOUT_EVENT: "yes"})),
    "with-nonce": Fault("has a nonce", cases=(18, 26), module=f"{MODULE}-with-nonce", claims=put(nonce="n" * 43)),
    "aud-other": Fault("is for another client", cases=(26,), module=f"{MODULE}-wrong-aud", claims=put(aud="other")),
    "aud-missing": Fault("is for nobody", cases=(26,), claims=without("aud")),
    "iss-other": Fault(
        "is of another issuer",
        cases=(26, 29),
        module=f"{MODULE}-wrong-iss",
        claims=put(iss="https://accounts.example.com"),
    ),
    "iss-missing": Fault("is of nobody", cases=(26,), claims=without("iss")),
    "iat-missing": Fault("has no iat", cases=(26,), claims=without("iat")),
    "iat-ahead": Fault("is made in an hour", cases=(26,), claims=put(iat=after(3600), exp=after(7200))),
    "exp-missing": Fault("has no exp", cases=(26,), claims=without("exp")),
    "exp-past": Fault("is expired", cases=(26,), claims=put(iat=after(-7200), exp=after(-3600))),
    "jti-missing": Fault("has no jti", cases=(26,), claims=without("jti")),
    "jti-as-number": Fault("has a jti that is no string", cases=(26,), claims=put(jti=7)),
    "jti-empty": Fault("has an empty jti", cases=(26,), claims=put(jti="")),
    "sub-and-sid-missing": Fault("names nobody", cases=(26,), claims=without("sub", "sid")),
    "sid-as-number": Fault("has a sid that is no string", cases=(26,), claims=put(sid=7)),
    "sub-as-list": Fault("has a sub that is no string", cases=(26,), claims=put(sub=["sub-ada"])),
}

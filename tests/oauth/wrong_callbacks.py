"""Callbacks that hold nothing, or too much."""

from __future__ import annotations

from collections.abc import Mapping

from tests.oauth.changes import all_of, put, without
from tests.oauth.fault import Fault

UNAVAILABLE = "oauth_unavailable"
OPENID = "oidcc-client-test"

WRONG_CALLBACKS: Mapping[str, Fault] = {
    # The callback (hard cases 28, 29 and 31)
    "callback-iss-other": Fault(
        "answers as another issuer", cases=(29,), callback=put(iss=["https://accounts.example.com"])
    ),
    "callback-iss-missing": Fault("forgets the iss that it announced", cases=(29,), callback=without("iss")),
    "callback-iss-twice": Fault(
        "answers as two issuers",
        cases=(29, 31),
        callback=put(iss=lambda provider: [provider.issuer, "https://accounts.example.com"]),
    ),
    "callback-iss-not-announced": Fault(
        "sends no iss, and announced none",
        "accepted",
        (29,),
        discovery=without("authorization_response_iss_parameter_supported"),
        callback=without("iss"),
    ),
    "state-missing": Fault("sends no state", "oauth_expired", (28,), callback=without("state")),
    "state-other": Fault("sends another state", "oauth_expired", (28,), callback=put(state=["s" * 43])),
    "state-huge": Fault("sends a state of 16 KiB", "oauth_expired", (28,), callback=put(state=["s" * 16_384])),
    "state-twice": Fault(
        "sends two states",
        "oauth_expired",
        (28, 31),
        callback=lambda _, parameters: {**parameters, "state": [*parameters["state"], "s" * 43]},
    ),
    "state-of-other-characters": Fault(
        "sends a state that is no ASCII", "oauth_expired", (28,), callback=put(state=["\u017ftate\x00\u00e9"])
    ),
    "code-missing": Fault("sends no code", cases=(31,), callback=without("code")),
    "code-empty": Fault("sends an empty code", cases=(31,), callback=put(code=[""])),
    "code-twice": Fault(
        "sends two codes",
        cases=(31,),
        callback=lambda _, parameters: {**parameters, "code": [*parameters["code"], "another"]},
    ),
    "code-huge": Fault("sends a code of 16 KiB", cases=(31,), callback=put(code=["c" * 16_384])),
    "code-other": Fault("sends a code that it does not know", cases=(31,), callback=put(code=["c" * 43])),
    "denied": Fault(
        "says that its user did not allow it",
        "oauth_denied",
        (31,),
        callback=all_of(without("code"), put(error=["access_denied"])),
    ),
    "denied-with-code": Fault(
        "says that its user did not allow it, and sends a code",
        "oauth_denied",
        (31,),
        callback=put(error=["access_denied"]),
    ),
    "error": Fault(
        "says that we asked for the wrong thing",
        cases=(31,),
        callback=all_of(without("code"), put(error=["invalid_scope"], error_description=["<script>alert(1)</script>"])),
    ),
    "error-of-the-server": Fault(
        "says that it is broken", UNAVAILABLE, (31,), callback=all_of(without("code"), put(error=["server_error"]))
    ),
    "error-for-now": Fault(
        "says that it is busy",
        UNAVAILABLE,
        (31,),
        callback=all_of(without("code"), put(error=["temporarily_unavailable"])),
    ),
    "error-twice": Fault(
        "says two errors", cases=(31,), callback=all_of(without("code"), put(error=["access_denied", "server_error"]))
    ),
}

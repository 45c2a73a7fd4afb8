"""Everything that the provider of `hostile.py` can do wrong, or rightly but otherwise than most: a table.

The names of the OpenID Foundation's modules (plans `oidcc-client-basic-certification-test-plan`,
`oidcc-client-config-certification-test-plan` and what `oidcc-client-test-plan` adds for the code flow) stand at the
faults that play them; `MODULES` are those plans.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.oauth.fault import Fault
from tests.oauth.right import RIGHT
from tests.oauth.wrong_answers import WRONG_ANSWERS
from tests.oauth.wrong_callbacks import WRONG_CALLBACKS
from tests.oauth.wrong_tokens import WRONG_TOKENS

FAULTS: Mapping[str, Fault] = {**RIGHT, **WRONG_TOKENS, **WRONG_CALLBACKS, **WRONG_ANSWERS}

BASIC = frozenset(
    f"oidcc-client-test{name}"
    for name in (
        "",
        "-client-secret-basic",
        "-idtoken-sig-none",
        "-idtoken-sig-rs256",
        "-invalid-aud",
        "-invalid-iss",
        "-invalid-sig-rs256",
        "-kid-absent-multiple-jwks",
        "-kid-absent-single-jwks",
        "-missing-iat",
        "-missing-sub",
        "-nonce-invalid",
        "-scope-userinfo-claims",
        "-userinfo-invalid-sub",
    )
)
CONFIGURATION = frozenset(
    f"oidcc-client-test-{name}"
    for name in (
        "discovery-issuer-mismatch",
        "discovery-jwks-uri-keys",
        "discovery-openid-config",
        "idtoken-sig-none",
        "signing-key-rotation",
        "signing-key-rotation-just-before-signing",
    )
)
ADDED = frozenset(
    f"oidcc-client-test-{name}"
    for name in (
        "aggregated-claims",
        "distributed-claims",
        "ignores-unparseable-key-in-jwks",
        "invalid-at-hash",
        "invalid-sig-es256",
        "invalid-sig-hs256",
        "missing-aud",
        "userinfo-bearer-header",
    )
)
MODULES = BASIC | CONFIGURATION | ADDED

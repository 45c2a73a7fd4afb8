"""A token that a provider signed (RFC 7515, RFC 7519): whose it is and that nobody changed it, before what it says."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from sigra_oauth.errors import OAuthFailed
from sigra_oauth.keys import KINDS, Keys, PublicKey
from sigra_oauth.outbound import json_of

MOST_CHARACTERS = 64 * 1024
"""Of a token."""

MOST_OF_A_HEADER = 8 * 1024
"""Bytes: some have certificates in it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A token whose signature holds.

    Args:
        claims: As told, not yet looked at.
    """

    algorithm: str
    claims: Mapping[str, Any] = field(repr=False)


class _Registry(JWSRegistry):
    """Takes the algorithms of `KINDS`, and looks at what it knows of a header alone."""

    max_header_length = MOST_OF_A_HEADER
    max_payload_length = MOST_CHARACTERS

    def get_alg(self, name: str) -> Any:
        # Without the library's warning that EdDSA has a newer name (RFC 9864): the provider chooses between them.
        return self.algorithms[name]


async def opened(token: object, keys: Keys, *, types: Collection[str], announced: Collection[str]) -> Signed:
    """The claims of a token, its signature checked.

    Args:
        types: What its `typ` may be, in lower case, where it has one (RFC 8725, section 3.11).
        announced: The algorithms that the provider says it uses; any of ours when empty.

    Raises:
        OAuthFailed: It does not hold.
        OAuthUnavailable: The keys cannot be fetched.
    """
    header = read_header(token, types)
    algorithm, kid = header["alg"], header.get("kid")
    if announced and algorithm not in announced:
        raise OAuthFailed(f"the token is signed by {algorithm}, which the provider has not announced")
    key = await keys.find(algorithm, kid)
    payload = _payload(str(token), key)
    if payload is None:
        # Signed anew under the old name, or without any.
        newer = await keys.find(algorithm, kid, other_than=key)
        payload = None if newer is key else _payload(str(token), newer)
    if payload is None:
        raise OAuthFailed("the token's signature does not hold")
    claims = json_of(payload, "the token's payload")
    if not isinstance(claims, dict):
        raise OAuthFailed("the token's payload is no object")
    return Signed(algorithm, claims)


def read_header(token: object, types: Collection[str]) -> Mapping[str, Any]:
    """The header of a token that may be looked at further: three parts, an algorithm of ours, nothing critical.

    Keys, and places of keys, that a header names are not looked at (RFC 8725, section 3.10).

    Raises:
        OAuthFailed: It is another one.
    """
    if not isinstance(token, str) or not token.isascii() or len(token) > MOST_CHARACTERS or token.count(".") != 2:
        raise OAuthFailed("the token is no signed token")
    header = json_of(_decoded(token.split(".")[0]), "the token's header")
    if not isinstance(header, dict):
        raise OAuthFailed("the token's header is no object")
    if not isinstance(header.get("alg"), str) or header["alg"] not in KINDS:
        raise OAuthFailed("the token is signed by an algorithm that is not taken")
    if "crit" in header or "b64" in header:
        raise OAuthFailed("the token has critical headers, and none is known")
    if not isinstance(header.get("kid", ""), str):
        raise OAuthFailed("the token's kid is no text")
    _check_type(header.get("typ"), types)
    return header


def _check_type(told: object, types: Collection[str]) -> None:
    if told is None:
        return
    if not isinstance(told, str) or told.lower().removeprefix("application/") not in types:
        raise OAuthFailed("the token is of another type")


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise OAuthFailed("the token is not encoded as one") from None


def _payload(token: str, key: PublicKey) -> bytes | None:
    """What was signed; None when the signature is another one's."""
    try:
        return jws.deserialize_compact(token, key, registry=_Registry(strict_check_header=False)).payload
    except (JoseError, ValueError, TypeError):
        return None

"""What an ID token must say to be believed (OpenID Connect Core 1.0, section 3.1.3.7), rule by rule."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from sigra_oauth.errors import OAuthFailed
from sigra_oauth.signed import Signed
from sigra_oauth.times import SKEW, read_time

TYPES = frozenset({"jwt"})
"""An ID token's `typ`, where it has one: no access token (RFC 9068) and no logout token has it."""

OLDEST = timedelta(days=1)
"""Of a token that comes straight from the provider (Core 1.0, section 3.1.3.7, rule 10)."""

SUBJECT_LENGTH = 255
"""Characters (Core 1.0, section 2)."""

HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Expected:
    """What one attempt expects of its token.

    Args:
        now: UTC.
        proven_since: Not before when its subject must have proven who they are; None when any time does.
        lenient: Whether a token without `auth_time` is taken where a proof was asked for: its provider has none.
    """

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    access_token: str = field(repr=False)
    code: str = field(repr=False)
    now: datetime
    proven_since: datetime | None = None
    lenient: bool = False


def check_id_token(token: Signed, expected: Expected) -> str:
    """Whose it is: its subject.

    Raises:
        OAuthFailed: It breaks a rule; the reason names the claim.
    """
    claims = token.claims
    check_issuer(claims, expected.issuer)
    check_audience(claims, expected.client_id)
    check_times(claims, expected.now)
    _check_nonce(claims, expected.nonce)
    _check_hash(token, "at_hash", expected.access_token)
    _check_hash(token, "c_hash", expected.code)
    _check_proof(claims, expected)
    subject = read_subject(claims)
    if subject is None:
        raise OAuthFailed("the token has no sub")
    return subject


def check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    """Rule 2: the issuer is the one whose keys were looked at, letter by letter."""
    if claims.get("iss") != issuer:
        raise OAuthFailed(f"the token is not of {issuer}")


def check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """Rules 3 to 5: for us, and for nobody else that we do not know of."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise OAuthFailed("the token is for another client")
    if len(audiences) > 1 and claims.get("azp") is None:
        raise OAuthFailed("the token has several audiences and no azp")
    if any(one != client_id for one in audiences):
        raise OAuthFailed("the token is for others, too")
    if claims.get("azp", client_id) != client_id:
        raise OAuthFailed("the token was made for another client (azp)")


def check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    """Rules 9 and 10: issued lately, and still good; from when on it is not taken any more."""
    ends, issued = read_time(claims.get("exp"), "exp"), read_time(claims.get("iat"), "iat")
    if now >= ends + SKEW:
        raise OAuthFailed("the token has expired (exp)")
    if not -OLDEST <= issued - now <= SKEW:
        raise OAuthFailed("the token was not issued lately (iat)")
    if "nbf" in claims and read_time(claims["nbf"], "nbf") > now + SKEW:
        raise OAuthFailed("the token is not good yet (nbf)")
    return min(ends + SKEW, issued + OLDEST)


def read_subject(claims: Mapping[str, Any]) -> str | None:
    """Of whom it speaks; None when it names nobody."""
    subject = claims.get("sub")
    if subject is not None and not is_name(subject):
        raise OAuthFailed(f"the token's sub is no text of 1 to {SUBJECT_LENGTH} characters")
    return subject


def is_name(value: object) -> TypeGuard[str]:
    """Whether it is a text that can be kept and compared: no control characters, no halves of characters."""
    return isinstance(value, str) and 1 <= len(value) <= SUBJECT_LENGTH and value.isprintable()


def _check_nonce(claims: Mapping[str, Any], nonce: str) -> None:
    """Rule 11: made for this attempt."""
    told = claims.get("nonce")
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(errors="replace"), nonce.encode()):
        raise OAuthFailed("the token has another nonce")


def _check_hash(token: Signed, name: str, value: str) -> None:
    """Section 3.1.3.8: where it is there, it is of what came with it."""
    told = token.claims.get(name)
    if told is None and name not in token.claims:
        return
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(errors="replace"), half_hash(token, value)):
        raise OAuthFailed(f"the token was made for something else ({name})")


def half_hash(token: Signed, value: str) -> bytes:
    """The left half of the hash that belongs to a token's algorithm, in base64url; Ed25519 has SHA-512 in it."""
    digest = HASHES.get(token.algorithm[-3:], hashlib.sha512)(value.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")


def _check_proof(claims: Mapping[str, Any], expected: Expected) -> None:
    """Rule 13: where a proof was asked for, it was made since."""
    if expected.proven_since is None or ("auth_time" not in claims and expected.lenient):
        return
    if read_time(claims.get("auth_time"), "auth_time") < expected.proven_since - SKEW:
        raise OAuthFailed("nobody has proven anything since (auth_time)")

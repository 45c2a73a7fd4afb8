"""The keys that a provider signs with (RFC 7517): from where its metadata say, never from where a token says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.util import to_bytes, urlsafe_b64decode

from sigra_oauth.discovery import Discovery
from sigra_oauth.errors import OAuthFailed
from sigra_oauth.kept import Kept
from sigra_oauth.outbound import Outbound

PublicKey = RSAKey | ECKey | OKPKey

LIFETIME = timedelta(hours=1)

MOST_KEYS = 100
"""Of a provider that are looked at."""

RSA_BITS = range(2048, 8193)
"""At least as RFC 7518, section 3.3, says; at most what checks in no time."""

EXPONENT_CHARACTERS = 8
"""Of an RSA key's public exponent, in base64url: everybody's is 65537; a large one is slow to check."""

SECRET_MEMBERS = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
"""Of private and symmetric keys (RFC 7518, section 6): what everybody can read signs nothing."""

KINDS: Mapping[str, tuple[str, str | None]] = {
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""Every algorithm that is taken, with the type and the curve of its keys: signatures with public keys, nothing else
(RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864, section 2.2)."""


class Keys:
    """The keys of one provider, looked up by the names in its tokens."""

    def __init__(self, outbound: Outbound, discovery: Discovery, clock: Callable[[], datetime]) -> None:
        self._outbound, self._discovery = outbound, discovery
        self._kept = Kept(self._fetch, clock, LIFETIME)

    async def find(self, algorithm: str, kid: str | None, *, other_than: PublicKey | None = None) -> PublicKey:
        """The one key that fits; an unknown name has the keys fetched again, at most once a minute.

        Args:
            kid: As the token names it; None when it names none, and then only one key may fit.
            other_than: The one that was found before, and does not do.

        Raises:
            OAuthFailed: There is none, or more than one.
            OAuthUnavailable: The keys cannot be fetched.
        """
        held = await self._kept.get()
        found = fitting(held, algorithm, kid)
        if not found or found[0] is other_than:
            found = fitting(await self._kept.hurry(held), algorithm, kid)
        if len(found) != 1:
            raise OAuthFailed(f"the provider has {len(found)} keys for an {algorithm} token of that kid, not one")
        return found[0]

    async def _fetch(self) -> Sequence[PublicKey]:
        metadata = await self._discovery.metadata()
        return read_keys(await self._outbound.get_json(metadata.at("jwks_uri")))


def read_keys(told: object) -> Sequence[PublicKey]:
    """Every key of a set that may have signed something; others are passed over (RFC 7517, section 5).

    Raises:
        OAuthFailed: It is no set of keys.
    """
    members = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(members, list):
        raise OAuthFailed("the provider's keys are no set of keys")
    read = (_read_key(member) for member in members[:MOST_KEYS])
    return tuple(key for key in read if key is not None)


def _read_key(member: object) -> PublicKey | None:
    if not isinstance(member, dict) or member.keys() & SECRET_MEMBERS or not _signs(member):
        return None
    wanted = {name: value for name, value in member.items() if name in ("kty", "crv", "n", "e", "x", "y", "kid", "alg")}
    try:
        key = JWKRegistry.import_key(wanted) if _is_sized(wanted) else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def _is_sized(member: Mapping[str, Any]) -> bool:
    if member.get("kty") != "RSA":
        return True
    bits = int.from_bytes(urlsafe_b64decode(to_bytes(member["n"]))).bit_length()
    return bits in RSA_BITS and len(member["e"]) <= EXPONENT_CHARACTERS


def _signs(member: Mapping[str, Any]) -> bool:
    """Whether it is for signatures (RFC 7517, sections 4.2 and 4.3)."""
    operations = member.get("key_ops", ["verify"])
    return member.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def fitting(keys: Sequence[PublicKey], algorithm: str, kid: str | None) -> Sequence[PublicKey]:
    """The keys that a token of that algorithm and name may be signed with."""
    return [key for key in keys if kid in (None, key.kid) and _fits(key, algorithm)]


def _fits(key: PublicKey, algorithm: str) -> bool:
    kind, curve = KINDS[algorithm]
    own = key.get("alg")
    same = own in (None, algorithm) or {own, algorithm} == {"EdDSA", "Ed25519"}
    return same and key.key_type == kind and (curve is None or key.get("crv") == curve)

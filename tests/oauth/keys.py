"""Keys of providers, and the JSON Web Signatures that a library would rather not make."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry


def encoded(raw: bytes) -> str:
    """base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True)
class SigningKey:
    """A key and what it signs with.

    Args:
        alg: RFC 7518, section 3.1.
        kid: None when it is published without one.
    """

    key: Key
    alg: str
    kid: str | None

    def public(self, **more: Any) -> dict[str, Any]:
        """As the JWKS says it."""
        named = {} if self.kid is None else {"kid": self.kid}
        return {**self.key.as_dict(private=False), "alg": self.alg, "use": "sig", **named, **more}

    def private(self) -> dict[str, Any]:
        """As no JWKS should say it."""
        return {**self.public(), **self.key.as_dict(private=True)}

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """By this key, whatever the header says."""
        first = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
        signature = JWSRegistry.algorithms[self.alg].sign(first.encode(), self.key)
        return f"{first}.{encoded(signature)}"


@cache
def signing_key(name: str, alg: str = "RS256") -> SigningKey:
    """The key of that name, made once a process: an RSA key takes a while."""
    made: Any
    if alg.startswith(("RS", "PS")):
        made = RSAKey.import_key(rsa.generate_private_key(65537, 2048))
    elif alg.startswith("ES"):
        curves: dict[str, type[ec.EllipticCurve]] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1}
        made = ECKey.import_key(ec.generate_private_key(curves[alg]()))
    else:
        made = OKPKey.import_key(ed25519.Ed25519PrivateKey.generate())
    return SigningKey(made, alg, name)


def by_hmac(secret: bytes, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Signed by HS256 with whatever bytes; a library would not take a public key for a secret."""
    first = unsigned(header, claims).rpartition(".")[0]
    return f"{first}.{encoded(hmac.digest(secret, first.encode(), 'sha256'))}"


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Without a signature."""
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}."

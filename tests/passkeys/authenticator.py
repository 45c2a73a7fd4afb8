"""An authenticator in software, and a browser around it: makes valid credentials, and whatever else a test wants."""

from __future__ import annotations

import hashlib
import json
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

ORIGIN, RP_ID = "http://localhost:8000", "localhost"

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
"""Flags of authenticator data (Level 3, section 6.1)."""

Credential = dict[str, Any]
Change = Callable[[Any], Any]


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "===")


def same(value: Any) -> Any:
    return value


RSA_KEY = rsa.generate_private_key(65537, 2048)
"""Takes long to make; every RS256 authenticator has it."""


def new_key(algorithm: str) -> Any:
    """A private key of an algorithm."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else RSA_KEY


@dataclass
class Authenticator:
    """One passkey of one user.

    Args:
        credential_id: Bytes by which it is known.
        verified: Whether it verifies its user.
        eligible: Whether it can be backed up; `backed_up` whether it is.
        counts: Whether its counter grows; synced ones stay at 0.
    """

    algorithm: str = "ES256"
    origin: str = ORIGIN
    credential_id: bytes = b"credential-of-16"
    verified: bool = True
    eligible: bool = False
    backed_up: bool = False
    counts: bool = True
    count: int = 0
    key: Any = None
    handle: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.key = self.key or new_key(self.algorithm)

    # What a browser does

    def create(
        self,
        options: dict[str, Any],
        *,
        client_data: Change = same,
        flags: Change = same,
        attested: Change = same,
        cose: Change = same,
        auth_data: Change = same,
        attestation: Change = same,
        attestation_bytes: Change = same,
        outer: Change = same,
    ) -> Credential:
        """`navigator.credentials.create(…)`, `toJSON()`; each change is made where the real value is made."""
        self.handle = options["user"]["id"]
        client = json.dumps(client_data(self._client_data("webauthn.create", options["challenge"]))).encode()
        key = cbor2.dumps(cose(self.cose()))
        data = attested(struct.pack(">16sH", b"\0" * 16, len(self.credential_id)) + self.credential_id + key)
        bits = flags(UP | AT | self._bits())
        whole = auth_data(self._auth_data(options["rp"]["id"], bits) + data)
        statement = attestation({"fmt": "none", "attStmt": {}, "authData": whole})
        return outer(
            {
                "id": encoded(self.credential_id),
                "rawId": encoded(self.credential_id),
                "type": "public-key",
                "authenticatorAttachment": "platform",
                "clientExtensionResults": {},
                "response": {
                    "clientDataJSON": encoded(client),
                    "attestationObject": encoded(attestation_bytes(cbor2.dumps(statement))),
                    "transports": ["internal", "hybrid"],
                },
            }
        )

    def self_attested(self, options: dict[str, Any]) -> Credential:
        """The same with a packed attestation by its own key (Level 3, section 8.2)."""
        made = self.create(options)
        response = made["response"]
        statement = cbor2.loads(decoded(response["attestationObject"]))
        signed = statement["authData"] + hashlib.sha256(decoded(response["clientDataJSON"])).digest()
        statement |= {"fmt": "packed", "attStmt": {"alg": self.cose()[3], "sig": self.sign(signed)}}
        response["attestationObject"] = encoded(cbor2.dumps(statement))
        return made

    def get(
        self,
        options: dict[str, Any],
        *,
        client_data: Change = same,
        flags: Change = same,
        auth_data: Change = same,
        signature: Change = same,
        outer: Change = same,
    ) -> Credential:
        """`navigator.credentials.get(…)`, `toJSON()`."""
        self.count += self.counts
        client = json.dumps(client_data(self._client_data("webauthn.get", options["challenge"]))).encode()
        data = auth_data(self._auth_data(options["rpId"], flags(UP | self._bits())))
        signed = signature(self.sign(data + hashlib.sha256(client).digest()))
        return outer(
            {
                "id": encoded(self.credential_id),
                "rawId": encoded(self.credential_id),
                "type": "public-key",
                "authenticatorAttachment": "platform",
                "clientExtensionResults": {},
                "response": {
                    "clientDataJSON": encoded(client),
                    "authenticatorData": encoded(data),
                    "signature": encoded(signed),
                    "userHandle": self.handle,
                },
            }
        )

    # What the authenticator does

    def cose(self) -> dict[int, Any]:
        """The public key (RFC 9052, section 7)."""
        public = self.key.public_key()
        if self.algorithm == "ES256":
            numbers = public.public_numbers()
            return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        if self.algorithm == "EdDSA":
            return {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}
        numbers = public.public_numbers()
        return {1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}

    def sign(self, data: bytes) -> bytes:
        if self.algorithm == "ES256":
            return self.key.sign(data, ec.ECDSA(hashes.SHA256()))
        if self.algorithm == "EdDSA":
            return self.key.sign(data)
        return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    def _client_data(self, kind: str, challenge: str) -> dict[str, Any]:
        return {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}

    def _auth_data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _bits(self) -> int:
        return UV * self.verified | BE * self.eligible | BS * self.backed_up

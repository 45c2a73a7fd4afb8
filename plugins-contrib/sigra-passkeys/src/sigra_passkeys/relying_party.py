"""The relying party: the options that browsers get, and what is accepted of their answers.

The ceremonies are py_webauthn's; what it lets pass and Level 3 does not is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import webauthn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    encode_cbor,
    options_to_json_dict,
    parse_attestation_object,
    parse_authenticator_data,
    parse_cbor,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from sigra_passkeys.presented import BadCredential, client_data, credential_id, decoded

TIMEOUT = 5 * 60 * 1000
"""Milliseconds that a browser gives its user (Level 3, section 15.1, recommends 300 to 600 s)."""

LONGEST_ID = 1023
"""Bytes of a credential's id (Level 3, section 4, "Credential ID")."""

ALGORITHMS = (
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
)
"""In order of preference (Level 3, section 5.4, recommends these three)."""

LONGEST_KEY = 1024
"""Bytes of an encoded key that are stored: enough for RSA of 7,000 bits."""

SMALLEST_RSA = 2048
"""Bits of a modulus (NIST SP 800-131A, revision 2, section 3)."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A new passkey."""

    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int
    aaguid: str
    transports: tuple[str, ...]
    verified: bool
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a passkey, as far as an answer is checked by it."""

    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    backup_eligible: bool


@dataclass(frozen=True, slots=True)
class Asserted:
    """What a passkey has shown."""

    sign_count: int
    verified: bool
    backed_up: bool


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A passkey as options name it."""

    credential_id: bytes
    transports: Sequence[str]


@dataclass(frozen=True)
class RelyingParty:
    """Who asks.

    Args:
        id: The domain that passkeys are bound to.
        origins: Those that a page may have which asks for a passkey, as browsers write them.
    """

    id: str
    name: str
    origins: tuple[str, ...]

    def creation_options(
        self,
        challenge: bytes,
        handle: bytes,
        account: str,
        display_name: str,
        present: Sequence[Descriptor],
        *,
        verify: bool,
    ) -> dict[str, Any]:
        """`PublicKeyCredentialCreationOptionsJSON` (Level 3, section 5.1.9)."""
        options = webauthn.generate_registration_options(
            rp_id=self.id,
            rp_name=self.name,
            user_id=handle,
            user_name=account,
            user_display_name=display_name,
            challenge=challenge,
            timeout=TIMEOUT,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED if verify else ResidentKeyRequirement.PREFERRED,
                user_verification=_verification(verify=verify),
            ),
            exclude_credentials=[_descriptor(one) for one in present],
            supported_pub_key_algs=list(ALGORITHMS),
        )
        return options_to_json_dict(options)

    def request_options(self, challenge: bytes, allowed: Sequence[Descriptor], *, verify: bool) -> dict[str, Any]:
        """`PublicKeyCredentialRequestOptionsJSON` (Level 3, section 5.1.10)."""
        options = webauthn.generate_authentication_options(
            rp_id=self.id,
            challenge=challenge,
            timeout=TIMEOUT,
            allow_credentials=[_descriptor(one) for one in allowed],
            user_verification=_verification(verify=verify),
        )
        return options_to_json_dict(options)

    def registered(self, credential: Mapping[str, Any], challenge: bytes, *, verify: bool) -> Registered:
        """What a registration made (Level 3, section 7.1).

        Raises:
            BadCredential: It is not to be accepted.
        """
        id = _identified(credential, challenge)
        try:
            seen = webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=list(self.origins),
                require_user_verification=verify,
                supported_pub_key_algs=list(ALGORITHMS),
            )
            attestation = base64url_to_bytes(credential["response"]["attestationObject"])
            data = parse_attestation_object(attestation).auth_data
            _check_whole(attestation)
            _check_key(seen.credential_public_key)
        except BadCredential:
            raise
        except Exception as error:  # the library lets through whatever its parsers raise
            raise BadCredential("registration") from error
        if seen.credential_id != id:
            raise BadCredential("id of another credential")
        return Registered(
            id,
            seen.credential_public_key,
            seen.sign_count,
            seen.aaguid,
            _transports(credential),
            seen.user_verified,
            data.flags.be,
            seen.credential_backed_up,
        )

    def asserted(self, credential: Mapping[str, Any], challenge: bytes, known: Known, *, verify: bool) -> Asserted:
        """What an assertion shows (Level 3, section 7.2); what its counter means is the caller's to say.

        Raises:
            BadCredential: It is not to be accepted.
        """
        if _identified(credential, challenge) != known.credential_id:
            raise BadCredential("id of another credential")
        try:
            seen = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=list(self.origins),
                credential_public_key=known.public_key,
                credential_current_sign_count=0,
                require_user_verification=verify,
            )
            data = parse_authenticator_data(base64url_to_bytes(credential["response"]["authenticatorData"]))
        except Exception as error:  # the same
            raise BadCredential("assertion") from error
        if data.flags.be != known.backup_eligible:
            raise BadCredential("backup eligibility changed")
        return Asserted(seen.new_sign_count, seen.user_verified, seen.credential_backed_up)


def key_of_nobody() -> bytes:
    """A public key whose private one is gone, to check answers by that nobody can give."""
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return encode_cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})


def _identified(credential: Mapping[str, Any], challenge: bytes) -> bytes:
    """The id of a credential whose outer form is right; says nothing of its signature."""
    raw, response = credential_id(credential), credential.get("response")
    if raw is None or not 0 < len(raw) <= LONGEST_ID:
        raise BadCredential("id")
    if not isinstance(response, Mapping):
        raise BadCredential("response")
    for name in ("clientDataJSON", "attestationObject", "authenticatorData", "signature"):
        if isinstance(response.get(name), str):
            decoded(response[name])
    _check_client_data(response.get("clientDataJSON"), challenge)
    return raw


def _check_client_data(text: object, challenge: bytes) -> None:
    """What the library does not look at: frames of others, the challenge letter by letter (Level 3, section 5.8.1)."""
    data = client_data(text)
    if data.get("challenge") != bytes_to_base64url(challenge):
        raise BadCredential("challenge")
    if data.get("crossOrigin", False) is not False or "topOrigin" in data:
        raise BadCredential("in a frame of another origin")
    # Ours is never bound to a token; Level 2, section 5.8.1, has the states, and Level 3 none of it any more.
    if data.get("tokenBinding") not in (None, {"status": "supported"}):
        raise BadCredential("token binding")


def _check_whole(attestation: bytes) -> None:
    """Nothing follows the attestation object, and it is written in definite lengths (CTAP 2.1, section 8)."""
    if len(encode_cbor(parse_cbor(attestation))) != len(attestation):
        raise BadCredential("bytes after the attestation object")


def _check_key(encoded: bytes) -> None:
    """A key of one of our algorithms, on its curve and long enough (RFC 9053, sections 2 and 7; RFC 8230)."""
    if encoded[:1] == b"\x04" or len(encoded) > LONGEST_KEY:
        raise BadCredential("key without an algorithm, or too long")
    decoded = decode_credential_public_key(encoded)
    # Raises for a point that is not on the curve.
    key = decoded_public_key_to_cryptography(decoded)
    fits = {
        COSEAlgorithmIdentifier.EDDSA: isinstance(key, ed25519.Ed25519PublicKey),
        COSEAlgorithmIdentifier.ECDSA_SHA_256: isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, ec.SECP256R1),
        COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256: isinstance(key, rsa.RSAPublicKey)
        and key.key_size >= SMALLEST_RSA,
    }
    if not fits.get(decoded.alg, False):
        raise BadCredential("key of another kind than its algorithm")


def _transports(credential: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that are known, each once."""
    said = credential["response"].get("transports")
    known = {one.value for one in AuthenticatorTransport}
    return tuple(sorted(known & {one for one in said if isinstance(one, str)})) if isinstance(said, list) else ()


def _verification(*, verify: bool) -> UserVerificationRequirement:
    return UserVerificationRequirement.REQUIRED if verify else UserVerificationRequirement.PREFERRED


def _descriptor(one: Descriptor) -> PublicKeyCredentialDescriptor:
    transports = [AuthenticatorTransport(name) for name in one.transports]
    return PublicKeyCredentialDescriptor(id=one.credential_id, transports=transports or None)

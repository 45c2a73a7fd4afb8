"""Everything that can be wrong with a credential (hard case 15), each change made where the real value is made."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.passkeys.authenticator import AT, BE, BS, UP, UV, Credential, decoded, encoded

Mutation = Mapping[str, Callable[[Any], Any]]


def put(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda found: {**found, **values}


def without(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda found: {name: value for name, value in found.items() if name not in names}


def within(**values: Any) -> Callable[[Credential], Credential]:
    """Members of `response`."""
    return lambda found: {**found, "response": {**found["response"], **values}}


def edited(name: str, change: Callable[[bytes], bytes]) -> Callable[[Credential], Credential]:
    """The bytes of a member of `response`, after they were signed."""
    return lambda found: within(**{name: encoded(change(decoded(found["response"][name])))})(found)


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def other_rp(data: bytes) -> bytes:
    return b"\x07" * 32 + data[32:]


OTHER_CHALLENGE = encoded(b"\x01" * 32)
LONG_ID = b"x" * 1024

CLIENT_DATA: Mapping[str, Mutation] = {
    "other challenge": {"client_data": put(challenge=OTHER_CHALLENGE)},
    "empty challenge": {"client_data": put(challenge="")},
    "padded challenge": {"client_data": lambda data: {**data, "challenge": data["challenge"] + "="}},
    "challenge in standard base64": {
        "client_data": lambda data: {**data, "challenge": data["challenge"].replace("-", "+").replace("_", "/") + "="}
    },
    "challenge as a number": {"client_data": put(challenge=7)},
    "no challenge": {"client_data": without("challenge")},
    "other origin": {"client_data": put(origin="http://evil.example")},
    "look-alike origin": {"client_data": put(origin="http://localhost.evil.example:8000")},
    "other scheme": {"client_data": put(origin="https://localhost:8000")},
    "other port": {"client_data": put(origin="http://localhost:8001")},
    "origin with a slash": {"client_data": put(origin="http://localhost:8000/")},
    "upper-case origin": {"client_data": put(origin="HTTP://LOCALHOST:8000")},
    "origin null": {"client_data": put(origin="null")},
    "origins in a list": {"client_data": put(origin=["http://localhost:8000"])},
    "no origin": {"client_data": without("origin")},
    "in a foreign frame": {"client_data": put(crossOrigin=True)},
    "foreign frame in a word": {"client_data": put(crossOrigin="false")},
    "below another origin": {"client_data": put(topOrigin="http://evil.example")},
    "bound to a token": {"client_data": put(tokenBinding={"status": "present", "id": "eHl6"})},
    "token binding of no kind": {"client_data": put(tokenBinding={"status": "made-up"})},
    "token binding as a word": {"client_data": put(tokenBinding="supported")},
    "no type": {"client_data": without("type")},
    "client data in a list": {"client_data": lambda data: [data]},
    "client data of nothing": {"client_data": lambda data: None},
    "padded client data": {
        "outer": lambda found: within(clientDataJSON=found["response"]["clientDataJSON"] + "==")(found)
    },
    "broken client data": {"outer": edited("clientDataJSON", lambda data: data[:-1])},
    "client data in no UTF-8": {
        "outer": edited("clientDataJSON", lambda data: data.replace(b"localhost", b"local\xff"))
    },
}

OUTER: Mapping[str, Mutation] = {
    "id and rawId differ": {"outer": put(id=encoded(b"another one 1234"))},
    "rawId of another": {"outer": put(rawId=encoded(b"another one 1234"))},
    "both ids of another": {"outer": put(id=encoded(b"another one 1234"), rawId=encoded(b"another one 1234"))},
    "padded id": {"outer": lambda found: {**found, "id": found["id"] + "=", "rawId": found["rawId"] + "="}},
    "empty id": {"outer": put(id="", rawId="")},
    "no id": {"outer": without("id")},
    "no rawId": {"outer": without("rawId")},
    "id as a number": {"outer": put(id=7, rawId=7)},
    "oversized id": {"outer": put(id=encoded(LONG_ID), rawId=encoded(LONG_ID))},
    "other type": {"outer": put(type="password")},
    "no type of credential": {"outer": without("type")},
    "no response": {"outer": without("response")},
    "response in a list": {"outer": lambda found: {**found, "response": [found["response"]]}},
    "no client data": {"outer": within(clientDataJSON=None)},
    "client data as a number": {"outer": within(clientDataJSON=7)},
    "not base64url": {"outer": within(clientDataJSON="!!!")},
    "unknown attachment": {"outer": put(authenticatorAttachment="remote")},
}


def cose_of(key: Any, curve: int) -> dict[int, Any]:
    numbers, size = key.public_key().public_numbers(), (key.key_size + 7) // 8
    return {1: 2, 3: -7, -1: curve, -2: numbers.x.to_bytes(size, "big"), -3: numbers.y.to_bytes(size, "big")}


def off_the_curve(cose: dict[int, Any]) -> dict[int, Any]:
    return {**cose, -3: flipped(cose[-3])}


def weak_rsa(_: dict[int, Any]) -> dict[int, Any]:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    return {1: 3, 3: -257, -1: numbers.n.to_bytes(128, "big"), -2: b"\x01\x00\x01"}


def longer_id(data: bytes) -> bytes:
    """Says that the id is longer than there are bytes."""
    return data[:16] + struct.pack(">H", 0xFFFF) + data[18:]


REGISTRATION: Mapping[str, Mutation] = {
    **CLIENT_DATA,
    **OUTER,
    "type of an assertion": {"client_data": put(type="webauthn.get")},
    "relying party of another": {"auth_data": other_rp},
    "user not present": {"flags": lambda bits: bits & ~UP},
    "backed up without being eligible": {"flags": lambda bits: bits & ~BE | BS},
    "no attested data": {"flags": lambda bits: bits & ~AT},
    "attested data cut off": {"attested": lambda data: data[:20]},
    "id of a wrong length": {"attested": longer_id},
    "bytes after the authenticator data": {"auth_data": lambda data: data + b"\0"},
    "authenticator data too short": {"auth_data": lambda data: data[:36]},
    "authenticator data of nothing": {"attestation": put(authData=b"")},
    "authenticator data as text": {"attestation": put(authData="text")},
    "no authenticator data": {"attestation": without("authData")},
    "no format": {"attestation": without("fmt")},
    "unknown format": {"attestation": put(fmt="made-up")},
    "format as a number": {"attestation": put(fmt=7)},
    "none with a statement": {"attestation": put(attStmt={"alg": -7, "sig": b"x"})},
    "packed without a signature": {"attestation": put(fmt="packed", attStmt={"alg": -7})},
    "packed with a wrong signature": {"attestation": put(fmt="packed", attStmt={"alg": -7, "sig": b"x" * 70})},
    "attestation in a list": {"attestation": lambda found: [found]},
    "attestation cut off": {"attestation_bytes": lambda data: data[:-1]},
    "bytes after the attestation": {"attestation_bytes": lambda data: data + b"\xf6"},
    "attestation of no CBOR": {"attestation_bytes": lambda data: b"\xff" * 64},
    "attestation nested deep": {"attestation_bytes": lambda data: b"\x81" * 9000},
    "attestation of endless length": {"attestation_bytes": lambda data: b"\xbf" + data[1:] + b"\xff"},
    "empty attestation": {"attestation_bytes": lambda data: b""},
    "no attestation": {"outer": within(attestationObject=None)},
    "duplicate key in the attestation": {
        "attestation_bytes": lambda data: b"\xa4" + cbor2.dumps("fmt") + cbor2.dumps("none") + data[1:]
    },
    "key off its curve": {"cose": off_the_curve},
    "key at the origin of its curve": {"cose": lambda cose: {**cose, -2: b"\0" * 32, -3: b"\0" * 32}},
    "key of another curve": {"cose": lambda _: cose_of(ec.generate_private_key(ec.SECP384R1()), 2)},
    "curve that is none": {"cose": lambda cose: {**cose, -1: 99}},
    "algorithm that was not offered": {"cose": lambda cose: {**cose, 3: -35}},
    "algorithm of another kind of key": {"cose": lambda cose: {**cose, 3: -257}},
    "algorithm none": {"cose": lambda cose: {**cose, 3: 0}},
    "no algorithm": {"cose": lambda cose: {name: value for name, value in cose.items() if name != 3}},
    "no kind of key": {"cose": lambda cose: {name: value for name, value in cose.items() if name != 1}},
    "coordinates too short": {"cose": lambda cose: {**cose, -2: cose[-2][:5]}},
    "coordinates as text": {"cose": lambda cose: {**cose, -2: "x" * 32}},
    "symmetric key": {"cose": lambda _: {1: 4, 3: -7, -1: b"x" * 32}},
    "weak RSA key": {"cose": weak_rsa},
    "endless RSA key": {"cose": lambda _: {1: 3, 3: -257, -1: b"\xff" * 1200, -2: b"\x01\x00\x01"}},
    "key in a list": {"cose": lambda cose: [cose]},
}

ASSERTION: Mapping[str, Mutation] = {
    **CLIENT_DATA,
    **OUTER,
    "type of a registration": {"client_data": put(type="webauthn.create")},
    "type of a payment": {"client_data": put(type="payment.get")},
    "relying party of another": {"auth_data": other_rp},
    "user not present": {"flags": lambda bits: bits & ~UP},
    "user not verified": {"flags": lambda bits: bits & ~UV},
    "backed up without being eligible": {"flags": lambda bits: bits & ~BE | BS},
    "eligible of a sudden": {"flags": lambda bits: bits | BE},
    "bytes after the authenticator data": {"auth_data": lambda data: data + b"\0"},
    "authenticator data too short": {"auth_data": lambda data: data[:36]},
    "attested data that is not there": {"flags": lambda bits: bits | AT},
    "authenticator data changed after signing": {"outer": edited("authenticatorData", flipped)},
    "client data changed after signing": {"outer": edited("clientDataJSON", lambda data: data[:-1] + b" }")},
    "wrong signature": {"signature": flipped},
    "signature cut off": {"signature": lambda data: data[:-8]},
    "empty signature": {"signature": lambda data: b""},
    "signature of zeros": {"signature": lambda data: bytes.fromhex("3006020100020100")},
    "no signature": {"outer": within(signature=None)},
    "no authenticator data": {"outer": within(authenticatorData=None)},
    "user handle of another": {"outer": within(userHandle=encoded(b"\x01" * 32))},
    "user handle as a number": {"outer": within(userHandle=7)},
    "user handle of no base64url": {"outer": within(userHandle="!!!")},
    "no user handle": {"outer": within(userHandle=None)},
}

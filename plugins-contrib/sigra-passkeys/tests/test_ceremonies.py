"""What the relying party accepts of authenticators and browsers, and everything that it does not (hard case 15)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fido2.server import Fido2Server
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity

from sigra.testing import make_user
from sigra_passkeys.presented import BadCredential
from sigra_passkeys.relying_party import Known, Registered, RelyingParty
from tests.apps import running
from tests.passkeys.authenticator import ORIGIN, RP_ID, Authenticator, decoded, encoded
from tests.passkeys.browsing import register
from tests.passkeys.mutations import ASSERTION, REGISTRATION

PARTY = RelyingParty(RP_ID, "Acme", (ORIGIN,))
CHALLENGE = bytes(range(32))
HANDLE = b"h" * 32

NODE = Path(__file__).parents[3] / ".node"
VERDICTS = Path(__file__).with_name("verdicts.mjs")

VALID = {
    f"{algorithm}, {', '.join(name for name, value in traits.items() if value) or 'bare'}": (algorithm, traits)
    for algorithm in ("ES256", "EdDSA", "RS256")
    for traits in (
        {"verified": True, "eligible": True, "backed_up": True},
        {"verified": True, "eligible": True, "backed_up": False},
        {"verified": True, "eligible": False, "backed_up": False},
        {"verified": False, "eligible": False, "backed_up": False},
    )
}


def creation(*, verify: bool = False) -> dict[str, Any]:
    return PARTY.creation_options(CHALLENGE, HANDLE, "ada@example.com", "Ada", [], verify=verify)


def request(*, verify: bool = False) -> dict[str, Any]:
    return PARTY.request_options(CHALLENGE, [], verify=verify)


def known_of(new: Registered) -> Known:
    return Known(new.credential_id, new.public_key, new.backup_eligible)


@pytest.mark.parametrize("case", VALID)
def test_what_is_right_is_accepted(case: str) -> None:
    algorithm, traits = VALID[case]
    one = Authenticator(algorithm, count=41, **traits)

    new = PARTY.registered(one.create(creation()), CHALLENGE, verify=traits["verified"])
    shown = PARTY.asserted(one.get(request()), CHALLENGE, known_of(new), verify=traits["verified"])

    assert (new.credential_id, new.sign_count, new.transports) == (one.credential_id, 41, ("hybrid", "internal"))
    assert (new.verified, new.backup_eligible, new.backed_up) == tuple(traits.values())
    assert (shown.sign_count, shown.verified, shown.backed_up) == (42, traits["verified"], traits["backed_up"])


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_an_attestation_by_the_passkeys_own_key_is_accepted(algorithm: str) -> None:
    made = Authenticator(algorithm).self_attested(creation())

    assert PARTY.registered(made, CHALLENGE, verify=True).credential_id == b"credential-of-16"


@pytest.mark.parametrize("name", REGISTRATION)
def test_hc15_a_registration_is_refused(name: str) -> None:
    made = Authenticator().create(creation(), **REGISTRATION[name])

    with pytest.raises(BadCredential):
        PARTY.registered(made, CHALLENGE, verify=False)


OF_ITS_OWNER = [name for name in ASSERTION if "user handle" in name]
"""Whose passkey it is, the sign-in says, which knows the owner."""


@pytest.mark.parametrize("name", [name for name in ASSERTION if name not in OF_ITS_OWNER])
def test_hc15_an_assertion_is_refused(name: str) -> None:
    one = Authenticator()
    known = known_of(PARTY.registered(one.create(creation()), CHALLENGE, verify=True))

    with pytest.raises(BadCredential):
        PARTY.asserted(one.get(request(), **ASSERTION[name]), CHALLENGE, known, verify=True)


def refuses_registration(*names: str) -> None:
    """Each of those registrations is refused."""
    for name in names:
        with pytest.raises(BadCredential):
            PARTY.registered(Authenticator().create(creation(), **REGISTRATION[name]), CHALLENGE, verify=False)


def refuses_assertion(*names: str) -> None:
    """Each of those assertions is refused."""
    one = Authenticator()
    known = known_of(PARTY.registered(one.create(creation()), CHALLENGE, verify=True))
    for name in names:
        with pytest.raises(BadCredential):
            PARTY.asserted(one.get(request(), **ASSERTION[name]), CHALLENGE, known, verify=True)


def test_hc15_id_and_rawid_are_one() -> None:
    refuses_registration("id and rawId differ")


def test_hc15_the_id_that_is_kept_is_the_attested_one() -> None:
    refuses_registration("both ids of another")


def test_hc15_an_oversized_id_is_refused() -> None:
    long = Authenticator(credential_id=b"x" * 1024)

    with pytest.raises(BadCredential):
        PARTY.registered(long.create(creation()), CHALLENGE, verify=False)
    assert PARTY.registered(Authenticator(credential_id=b"x" * 1023).create(creation()), CHALLENGE, verify=False)


def test_hc15_base64url_is_written_in_one_way() -> None:
    refuses_registration("padded client data")
    refuses_assertion("padded client data")


def test_hc15_nothing_comes_from_a_foreign_frame() -> None:
    refuses_registration("in a foreign frame", "foreign frame in a word", "below another origin")
    refuses_assertion("in a foreign frame", "below another origin")


def test_hc15_nothing_is_bound_to_a_token() -> None:
    refuses_registration("bound to a token", "token binding as a word")
    refuses_assertion("bound to a token", "token binding as a word")


def test_hc15_a_key_is_on_its_curve_and_long_enough() -> None:
    refuses_registration("key off its curve", "key of another curve", "weak RSA key")


def test_hc15_nothing_follows_the_attestation() -> None:
    refuses_registration("bytes after the attestation")


def test_hc15_a_passkey_does_not_become_another() -> None:
    refuses_assertion("eligible of a sudden")


def test_hc15_an_assertion_is_of_our_origin() -> None:
    refuses_assertion("other origin", "look-alike origin", "other port")


async def test_hc15_no_registration_that_is_wrong_is_accepted_by_the_route(tmp_path: Path) -> None:
    async with running(f"sqlite:///{tmp_path}/sigra.db", ["defaults", "passkeys"]) as client:
        await client.sign_in(await make_user(client.sigra))
        accepted, broken = [], []
        for name, mutation in REGISTRATION.items():
            options = (await client.post("/auth/passkeys/register/options", json={})).json()
            made = Authenticator(origin=client.sigra.settings.base_url).create(options, **mutation)
            answer = await client.post("/auth/passkeys/register", json={"credential": made})
            if answer.status_code < 400:
                accepted.append(name)
            if answer.status_code not in (401, 422) or "code" not in answer.json():
                broken.append((name, answer.status_code))
        listed = (await client.get("/auth/passkeys")).json()
        right = await register(client)

    assert (accepted, broken, listed) == ([], [], {"passkeys": []})
    assert len(REGISTRATION) >= 40
    assert right.handle is not None


async def test_hc15_no_assertion_that_is_wrong_is_accepted_by_the_route(tmp_path: Path) -> None:
    async with running(f"sqlite:///{tmp_path}/sigra.db", ["defaults", "passkeys"]) as client:
        await client.sign_in(await make_user(client.sigra))
        one = await register(client)
        await client.post("/auth/logout")
        accepted, broken = [], []
        for name, mutation in ASSERTION.items():
            options = (await client.post("/auth/login/passkey/options", json={})).json()
            answer = await client.post("/auth/login/passkey", json={"credential": one.get(options, **mutation)})
            if answer.status_code < 400 or client.signed_in:
                accepted.append(name)
            if answer.status_code not in (401, 422) or "code" not in answer.json():
                broken.append((name, answer.status_code))
        options = (await client.post("/auth/login/passkey/options", json={})).json()
        right = await client.post("/auth/login/passkey", json={"credential": one.get(options)})

    assert (accepted, broken, right.status_code) == ([], [], 200)


# What others say of the same


def ceremonies() -> list[dict[str, Any]]:
    """A registration and an assertion of every kind that is right, and which of ours accepted them."""
    cases = []
    for algorithm, traits in VALID.values():
        one = Authenticator(algorithm, **traits)
        made = one.create(creation())
        new = PARTY.registered(made, CHALLENGE, verify=traits["verified"])
        given = one.get(request())
        PARTY.asserted(given, CHALLENGE, known_of(new), verify=traits["verified"])
        cases.append({"registration": made, "assertion": given, "key": encoded(new.public_key), **traits})
    return cases


def test_python_fido2_accepts_what_we_accept() -> None:
    server = Fido2Server(PublicKeyCredentialRpEntity(id=RP_ID, name="Acme"), verify_origin=lambda o: o == ORIGIN)
    for case in ceremonies():
        state = {
            "challenge": encoded(CHALLENGE),
            "user_verification": "required" if case["verified"] else "discouraged",
        }
        data = server.register_complete(state, case["registration"])
        credential = data.credential_data
        assert isinstance(credential, AttestedCredentialData)
        assert server.authenticate_complete(state, [credential], case["assertion"]) == credential


def test_simplewebauthn_accepts_what_we_accept() -> None:
    node = shutil.which("node")
    assert node, "node is not installed; `make test` as root installs it"
    assert (NODE / "node_modules" / "@simplewebauthn").is_dir(), "run tools/programs.py: it installs what node needs"
    asked = {"challenge": encoded(CHALLENGE), "origin": ORIGIN, "rpId": RP_ID, "cases": ceremonies()}
    done = subprocess.run(
        [node, str(VERDICTS), str(NODE)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"registration": True, "assertion": True}] * len(VALID)


def test_the_software_authenticator_makes_no_padding() -> None:
    assert decoded(encoded(b"a")) == b"a" and "=" not in encoded(b"a")

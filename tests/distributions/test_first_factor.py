"""The first factor of an account: what was let begin without one does not go on, whichever plugin it began with."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pyotp
import pytest

from sigra.testing import Client, make_user
from tests.apps import running
from tests.distributions.issuing import DEMANDED
from tests.passkeys.browsing import code_of, register, use
from tests.slow import held_open

PLUGINS = ["defaults", "totp", "passkeys"]


def elsewhere(client: Client) -> Client:
    """The browser of somebody who has the password too."""
    return Client(client.app, client.sigra, address=("198.51.100.9", 50_000))


async def scanned(client: Client) -> pyotp.TOTP:
    """The app that was given a secret, which waits for its first code."""
    answer = await client.post("/auth/totp/enroll", json={})
    assert answer.status_code == 200, answer.text
    [secret] = parse_qs(urlsplit(answer.json()["otpauth_uri"]).query)["secret"]
    return pyotp.TOTP(secret)


async def confirm(client: Client, app: pyotp.TOTP) -> httpx2.Response:
    return await client.post("/auth/totp/confirm", json={"code": app.at(client.sigra.clock())})


async def test_hc10_a_sign_in_that_waited_for_a_first_factor_adds_none_beside_it(database: str) -> None:
    """Whoever has the password waits too, and would add a factor of their own to go round the owner's."""
    async with running(database, PLUGINS, **DEMANDED) as owner:
        user, other = await make_user(owner.sigra), elsewhere(owner)
        waiting = [(await browser.sign_in(user)).status_code for browser in (owner, other)]
        added = await confirm(owner, await scanned(owner))
        refused = [await other.post(f"/auth/{path}", json={}) for path in ("passkeys/register/options", "totp/enroll")]
        within = await other.get("/auth/session")

    assert (waiting, added.status_code) == ([202, 202], 200)
    assert [answer.status_code for answer in refused] == [401, 401]
    assert within.status_code == 401


async def test_hc10_a_secret_shown_to_a_sign_in_that_waited_is_not_confirmed_beside_it(database: str) -> None:
    async with running(database, PLUGINS, **DEMANDED) as owner:
        user, other = await make_user(owner.sigra), elsewhere(owner)
        await owner.sign_in(user)
        await other.sign_in(user)
        app = await scanned(other)
        await register(owner)
        answer = await confirm(other, app)
        within = await other.get("/auth/session")

    assert (answer.status_code, within.status_code) == (401, 401)


async def test_hc10_a_secret_shown_before_the_first_factor_waits_no_more_after_it(database: str) -> None:
    """The session that asked for it was fresh then; what it had shown is not all that is asked for now."""
    async with running(database, PLUGINS) as owner:
        user, other = await make_user(owner.sigra), elsewhere(owner)
        await owner.sign_in(user)
        await other.sign_in(user)
        app = await scanned(other)
        await register(owner)
        answer = await confirm(other, app)
        still = await other.get("/auth/session")

    assert (answer.status_code, code_of(answer)) == (409, "conflict")
    assert still.status_code == 200


async def test_hc10_a_slow_request_of_before_the_first_factor_gets_no_recovery_codes(database: str) -> None:
    """Its session was fresh when it began; by the end of its body there was a factor that it had not shown."""
    async with running(database, PLUGINS) as owner:
        user, other = await make_user(owner.sigra), elsewhere(owner)
        await owner.sign_in(user)
        await other.sign_in(user)

        async def add() -> None:
            assert (await confirm(owner, await scanned(owner))).status_code == 200

        answer = await held_open(other, "POST", "/auth/recovery-codes", {}, add)

    assert (answer.status_code, "codes" in answer.json()) == (401, False)


@pytest.mark.parametrize("more", ["passkey", "codes"])
async def test_a_further_factor_ends_nothing(more: str, database: str) -> None:
    """Whatever waits then has shown, or owes, what the account asks for."""
    async with running(database, PLUGINS) as owner:
        user, other = await make_user(owner.sigra), elsewhere(owner)
        await owner.sign_in(user)
        passkey: Any = await register(owner)
        waiting = await other.sign_in(user)
        if more == "passkey":
            await register(owner, credential_id=b"another-one-of-24-bytes.")
        else:
            assert (await owner.post("/auth/recovery-codes", json={})).status_code == 201
        answer = await use(other, passkey)

    assert (waiting.status_code, answer.status_code) == (202, 200)

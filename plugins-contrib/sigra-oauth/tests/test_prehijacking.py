"""Somebody was at an address first, and its owner comes later: nothing of the first one's is left ("Pre-hijacking").

The attacker has no access to the mailbox, and no provider says that it has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pyotp
import pytest

from sigra.testing import PASSWORD, Client, FrozenClock, make_api_key, make_user
from tests.oauth import hostile
from tests.oauth.cases import (
    ADA,
    EVE,
    NEW_PASSWORD,
    come,
    email_of,
    installed,
    is_proven,
    mails,
    other,
    owners,
    says,
    who,
    works,
)
from tests.oauth.dancing import answered, come_back, counted, dance, outcome, start
from tests.oauth.hostile import Hostile
from tests.passkeys.browsing import register, use
from tests.signing_up import verify

Late = Callable[[], Awaitable[bool]]
"""What the attacker has prepared: whether it lets them in now, or takes the account in another way."""

LENIENT = {"signup": {"require_verified": False}}
"""Under which an unproven account is signed in to, so that more can be prepared."""


async def opened(attacker: Client) -> None:
    """An account at the victim's address, to which the attacker is signed in."""
    assert (await attacker.post("/auth/signup", json={"email": ADA, "password": PASSWORD})).status_code == 202
    assert (await attacker.post("/auth/login", json={"email": ADA, "password": PASSWORD})).status_code == 200


async def a_pending_sign_up(attacker: Client, provider: Hostile) -> Late:
    await attacker.post("/auth/signup", json={"email": ADA, "password": PASSWORD})
    token = (await mails(attacker)).token()

    async def late() -> bool:
        # The mail went to the victim, who may well follow its link.
        await verify(other(attacker), token)
        in_its_browser = await attacker.post("/auth/login", json={"email": ADA, "password": PASSWORD})
        return in_its_browser.status_code == 200 or await works(attacker)

    return late


async def a_password(attacker: Client, provider: Hostile) -> Late:
    await make_user(attacker.sigra, email_verified=False)

    async def late() -> bool:
        return await works(attacker)

    return late


async def an_api_key(attacker: Client, provider: Hostile) -> Late:
    key = await make_api_key(attacker.sigra, await make_user(attacker.sigra, email_verified=False))

    async def late() -> bool:
        answer = await other(attacker).get("/", headers={"authorization": f"Bearer {key}"})
        return answer.status_code == 200

    return late


async def an_account_there(attacker: Client, provider: Hostile) -> Late:
    """An identity that says the victim's address, unverified."""
    says(provider, "sub-attacker", ADA, False)
    assert outcome(await dance(attacker)) == "unverified"

    async def late() -> bool:
        says(provider, "sub-attacker", ADA, False)
        await dance(attacker)
        return attacker.signed_in or "sub-attacker" in await owners(attacker)

    return late


async def an_address_given(attacker: Client, provider: Hostile) -> Late:
    """An identity that has no address, for which the victim's was typed."""
    says(provider, "sub-attacker", None)
    await dance(attacker)
    await attacker.post("/auth/oauth/address", json={"email": ADA})

    async def late() -> bool:
        says(provider, "sub-attacker", None)
        await dance(attacker)
        await attacker.post("/auth/oauth/address", json={"email": ADA})
        await attacker.post("/auth/oauth/link", json={})
        return attacker.signed_in or "sub-attacker" in await owners(attacker)

    return late


async def an_open_session(attacker: Client, provider: Hostile) -> Late:
    await opened(attacker)

    async def late() -> bool:
        return await who(attacker) is not None

    return late


async def a_linked_account_there(attacker: Client, provider: Hostile) -> Late:
    await opened(attacker)
    says(provider, "sub-attacker", "attacker@example.com")
    assert (await dance(attacker, intent="link")).status_code == 204

    async def late() -> bool:
        browser, _ = await come(attacker, provider, "sub-attacker", "attacker@example.com")
        return await who(browser) == ADA or "sub-attacker" not in await owners(attacker)

    return late


async def a_linking_under_way(attacker: Client, provider: Hostile) -> Late:
    await opened(attacker)
    says(provider, "sub-attacker", "attacker@example.com")
    callback = await answered(await start(attacker, intent="link"))

    async def late() -> bool:
        says(provider, "sub-attacker", "attacker@example.com")
        await come_back(attacker, callback)
        return await who(attacker) is not None or "sub-attacker" in await owners(attacker)

    return late


async def a_change_of_address(attacker: Client, provider: Hostile) -> Late:
    await opened(attacker)
    await attacker.post("/auth/email/change", json={"new_email": EVE})
    token = (await mails(attacker)).token()

    async def late() -> bool:
        await attacker.post("/auth/email/change/confirm", json={"token": token})
        return await attacker.sigra.users.by_email(EVE) is not None

    return late


async def a_passkey(attacker: Client, provider: Hostile) -> Late:
    await opened(attacker)
    one = await register(attacker)

    async def late() -> bool:
        return (await use(other(attacker), one)).status_code in (200, 202)

    return late


async def a_second_factor(attacker: Client, provider: Hostile) -> Late:
    """With which the attacker would keep the victim out."""
    await opened(attacker)
    secret = (await attacker.post("/auth/totp/enroll")).json()["secret"]
    code = pyotp.TOTP(secret).at(attacker.sigra.clock())
    assert (await attacker.post("/auth/totp/confirm", json={"code": code})).status_code == 200

    async def late() -> bool:
        _, response = await come(attacker, provider, "sub-ada", ADA)
        return response.status_code != 200

    return late


PREPARED = {
    a_pending_sign_up: {},
    a_password: {},
    an_api_key: {},
    an_account_there: {},
    an_address_given: {},
    an_open_session: LENIENT,
    a_linked_account_there: LENIENT,
    a_linking_under_way: LENIENT,
    a_change_of_address: LENIENT,
    a_passkey: LENIENT,
    a_second_factor: LENIENT,
}

every_preparation = pytest.mark.parametrize("prepare", PREPARED, ids=lambda one: one.__name__)

MORE = ["totp", "passkeys"]


@every_preparation
async def test_hc01_nothing_that_was_set_outlives_the_proof_of_a_provider(
    database: str, clock: FrozenClock, provider: Hostile, prepare: Any
) -> None:
    async with installed(database, clock, provider, plugins=MORE, **PREPARED[prepare]) as client:
        attacker = other(client)
        late = await prepare(attacker, provider)
        victim, response = await come(client, provider, "sub-ada", ADA)
        got_in = await late()
        owned, asked = await owners(client), await who(victim)

    assert (outcome(response), is_proven(response)) == ("accepted", True)
    assert not got_in
    assert (asked, owned["sub-ada"]) == (ADA, ADA)


async def by_reset(victim: Client) -> None:
    await victim.post("/auth/password/forgot", json={"email": ADA})
    body = {"token": (await mails(victim)).token(), "new_password": NEW_PASSWORD}
    assert (await victim.post("/auth/password/reset", json=body)).status_code == 204


async def by_magic_link(victim: Client) -> None:
    await victim.post("/auth/magic-link", json={"email": ADA})
    answer = await victim.post("/auth/magic-link/verify", json={"token": (await mails(victim)).token()})
    assert answer.status_code == 200


async def by_sign_up(victim: Client) -> None:
    await victim.post("/auth/signup", json={"email": ADA, "password": NEW_PASSWORD})
    assert (await verify(victim, (await mails(victim)).token())).status_code == 204


WAYS = [(one, by_sign_up) for one in (an_account_there, an_address_given)]
"""Where no account is made, what is left to its owner is to sign up."""

WAYS += [
    (one, by) for one in (a_linked_account_there, a_linking_under_way) for by in (by_reset, by_magic_link, by_sign_up)
]


@pytest.mark.parametrize(("prepare", "prove"), WAYS, ids=[f"{one.__name__}-{by.__name__}" for one, by in WAYS])
async def test_hc01_no_account_of_a_provider_outlives_another_proof_of_the_address(
    database: str, clock: FrozenClock, provider: Hostile, prepare: Any, prove: Any
) -> None:
    async with installed(database, clock, provider, plugins=MORE, **PREPARED[prepare]) as client:
        attacker = other(client)
        late = await prepare(attacker, provider)
        await mails(client)  # what the attacker has caused comes first
        await prove(other(client))
        got_in = await late()
        user = await client.sigra.users.by_email(ADA)

    assert user
    assert user.email_verified
    assert not got_in


async def test_hc01_the_proof_of_one_provider_ends_what_was_linked_by_another(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    with hostile.running(clock, name="hostile2") as second:
        async with installed(database, clock, provider, second) as client:
            attacker = other(client)
            says(second, "sub-attacker", ADA, False)
            await dance(attacker, "hostile2")
            await come(client, provider, "sub-ada", ADA)
            response = await dance(attacker, "hostile2")
            owned = await owners(client)

    assert (outcome(response), owned) == ("unverified", {"sub-ada": ADA})


async def test_hc01_an_identity_that_waits_for_an_address_keeps_nobody_from_linking_it(
    database: str, clock: FrozenClock, provider: Hostile
) -> None:
    """Its owner mistyped an address, or came before the account was made: nothing is made until a proof."""
    async with installed(database, clock, provider) as client:
        await come(client, provider, "sub-ada", "mistyped@example.com", False)
        user = await make_user(client.sigra)
        await client.sign_in(user)
        linked = await dance(client, intent="link")
        _, response = await come(client, provider, "sub-ada", "mistyped@example.com", False)
        counts = await counted(client)

    assert (linked.status_code, outcome(response)) == (204, "accepted")
    assert email_of(response) == ADA
    assert counts["sigra_oauth_identities"] == 1


@pytest.mark.parametrize("stored", ["ADA@example.com", "Ada@EXAMPLE.com"])
async def test_hc07_of_an_address_that_is_taken_over_the_proven_spelling_stays(
    database: str, clock: FrozenClock, provider: Hostile, stored: str
) -> None:
    """Two spellings may be two mailboxes, and mail goes to the stored one."""
    async with installed(database, clock, provider) as client:
        await make_user(client.sigra, stored, email_verified=False)
        _, response = await come(client, provider, "sub-ada", ADA)

    assert email_of(response) == ADA
    assert is_proven(response) is True

"""Whichever way lets people in: what a browser was spared is not fresh, and proving it again spares nothing."""

from datetime import timedelta

import pytest

from sigra.testing import PASSWORD
from tests.distributions.policies import Asker, Banner, Limiter, Waiver
from tests.distributions.ways import every_way, outcome, post

CODE, KEY = {"code": "123456"}, {"name": "ci", "scopes": []}


@pytest.fixture
def sigra_database_url(database):
    return database


@every_way
async def test_hc10_a_spared_factor_is_no_fresh_proof_by_any_way(house, way):
    here = await house(Asker(), Waiver("mfa"))
    client = here.client()
    spared = await post(client, way.path, way.right)
    refused = await post(client, "/api-keys", KEY)
    again = await post(client, way.path, way.right)
    still = await post(client, "/api-keys", KEY)
    proven = await post(client, "/login/asker", CODE)
    made = await post(client, "/api-keys", KEY)

    assert outcome(spared) == (200, "signed_in")
    assert outcome(refused) == outcome(still) == (403, "reauthentication_required")
    assert outcome(again) == (202, "challenge")
    assert (outcome(proven), made.status_code) == ((200, "signed_in"), 201)
    assert await here.count("sigra_sessions") == 1


@every_way
async def test_every_way_proves_it_again(house, way, sigra_clock):
    client = (await house()).client()
    await post(client, way.path, way.right)
    sigra_clock.tick(timedelta(minutes=6))
    stale = await post(client, "/api-keys", KEY)
    await post(client, way.path, way.right)
    made = await post(client, "/api-keys", KEY)

    assert (outcome(stale), made.status_code) == ((403, "reauthentication_required"), 201)


@every_way
async def test_the_password_proves_again_what_another_way_let_in(house, way):
    here = await house(Asker())
    client = here.client()
    await post(client, way.path, way.right)
    await post(client, "/login/asker", CODE)
    first = await post(client, "/reauthenticate", {"password": PASSWORD})
    last = await post(client, "/login/asker", CODE)

    assert (outcome(first), outcome(last)) == ((202, "challenge"), (200, "signed_in"))
    assert await here.count("sigra_sessions") == 1


async def test_proving_it_again_is_under_limits_and_bans(house):
    limiter, banner = Limiter(3), Banner()
    here = await house(limiter, banner)
    client = here.client()
    await client.sign_in(here.user)
    banner.banned = (here.user.email,)
    banned = await post(client, "/reauthenticate", {"password": PASSWORD})
    wrong = await post(client, "/reauthenticate", {"password": "wrong"})
    limited = await post(client, "/reauthenticate", {"password": PASSWORD})

    assert outcome(banned) == (403, "banner_banned")
    assert outcome(wrong) == (401, "invalid_credentials")
    assert outcome(limited) == (429, "too_many_attempts")
    assert await here.count("sigra_sessions") == 1

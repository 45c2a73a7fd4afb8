"""What cannot be written down does not happen: a fact and its record stand or fall together (hard case 46)."""

import pytest

from tests.distributions.policies import Asker, Auditor
from tests.distributions.ways import every_way, outcome, post


@pytest.fixture
def sigra_database_url(database):
    return database


@every_way
async def test_hc46_a_sign_in_that_cannot_be_recorded_does_not_happen(house, way):
    auditor = Auditor(broken="sign_in.succeeded")
    here = await house(auditor)
    client = here.client()
    refused = await post(client, way.path, way.right)

    assert outcome(refused) == (503, "unavailable") and refused.headers["retry-after"]
    assert not client.signed_in and await here.issued() == 0
    assert "sign_in.succeeded" not in await auditor.names(here.auth)


@every_way
async def test_hc46_a_challenge_that_cannot_be_recorded_is_not_made(house, way):
    here = await house(Auditor(broken="sign_in.challenged"), Asker())
    client = here.client()

    assert outcome(await post(client, way.path, way.right)) == (503, "unavailable")
    assert "set-cookie" not in (await post(client, way.path, way.right)).headers
    assert await here.issued() == 0


@every_way
async def test_hc46_a_second_step_that_cannot_be_recorded_can_be_repeated(house, way):
    auditor = Auditor(broken="sign_in.succeeded")
    here = await house(auditor, Asker())
    client = here.client()
    await post(client, way.path, way.right)
    refused = outcome(await post(client, "/login/asker", {"code": "123456"}))
    auditor.broken = None

    assert refused == (503, "unavailable")
    assert outcome(await post(client, "/login/asker", {"code": "123456"})) == (200, "signed_in")
    assert (await auditor.names(here.auth)).count("sign_in.succeeded") == 1


@every_way
async def test_hc46_a_wrong_proof_that_cannot_be_recorded_lets_nobody_in(house, way):
    here = await house(Auditor(broken="sign_in.failed"))
    client = here.client()

    assert outcome(await post(client, way.path, way.wrong)) == (503, "unavailable")
    assert not client.signed_in


async def test_hc46_a_sign_out_that_cannot_be_recorded_does_not_happen(house):
    auditor = Auditor(broken="sign_out.succeeded")
    here = await house(auditor)
    client = here.client()
    await client.sign_in(here.user)
    refused = outcome(await client.sign_out())

    assert refused == (503, "unavailable")
    assert (await client.get("/")).json()["method"] == "session"
    assert await here.count("sigra_sessions") == 1


async def test_hc46_a_revocation_that_cannot_be_recorded_does_not_happen(house):
    auditor = Auditor(broken="credentials.revoked")
    here = await house(auditor)
    client = here.client()
    await client.sign_in(here.user)
    await client.sign_in_as(here.user)
    refused = await client.delete(client.path("/sessions"))

    assert outcome(refused) == (503, "unavailable")
    assert (await client.get("/")).json()["method"] == "session"

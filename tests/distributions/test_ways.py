"""No way to a credential leads past a second factor, nor does a pending sign-in (hard cases 10, 11)."""

import asyncio
from datetime import timedelta

import pytest

from sigra.testing import EMAIL, make_user
from tests.distributions.policies import Asker, SecondAsker
from tests.distributions.ways import BADGE_WAY, CARELESS_WAY, PASSWORD_WAY, badge_of, every_way, outcome, post

CODE, TERMS = {"code": "123456"}, {"code": "I agree"}
WRONG = {"code": "000000"}


@pytest.fixture
def sigra_database_url(database):
    return database


@every_way
async def test_every_way_signs_in(house, way):
    client = (await house()).client()

    assert outcome(await post(client, way.path, way.right)) == (200, "signed_in")
    assert (await client.get("/")).json()["user"]["email"] == EMAIL


@every_way
async def test_a_wrong_proof_signs_nobody_in(house, way):
    here = await house()
    client = here.client()

    assert outcome(await post(client, way.path, way.wrong)) == (401, "invalid_credentials")
    assert (await client.get("/")).json()["user"] is None
    assert await here.issued() == 0


@every_way
async def test_hc10_every_way_stops_at_a_second_factor(house, way):
    here = await house(Asker())
    client = here.client()
    challenged = await post(client, way.path, way.right)

    assert outcome(challenged) == (202, "challenge")
    assert challenged.json()["challenges"] == [{"kind": "mfa", "methods": ["asker"]}]
    assert not client.signed_in and await here.count("sigra_sessions") == 0
    assert (await client.get("/")).json()["user"] is None
    assert outcome(await post(client, "/login/asker", CODE)) == (200, "signed_in")
    assert (await client.get("/")).json()["user"]["email"] == EMAIL


@every_way
async def test_hc10_all_kinds_have_to_be_met(house, way):
    here = await house(Asker(), SecondAsker())
    client = here.client()
    first = await post(client, way.path, way.right)
    second = await post(client, "/login/terms", TERMS)

    assert [one["kind"] for one in first.json()["challenges"]] == ["mfa", "terms"]
    assert [one["kind"] for one in second.json()["challenges"]] == ["mfa"]
    assert not client.signed_in
    assert outcome(await post(client, "/login/asker", CODE)) == (200, "signed_in")


async def test_hc10_one_kind_met_twice_is_not_two_kinds(house):
    client = (await house(Asker(), SecondAsker())).client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    await post(client, "/login/asker", CODE)

    assert outcome(await post(client, "/login/asker", CODE)) == (202, "challenge")
    assert not client.signed_in


async def test_hc10_a_kind_is_met_by_any_of_its_methods(house):
    class Other(Asker):
        name = "other"

        def __init__(self):
            super().__init__("mfa", "other", "654321")

    client = (await house(Asker(), Other())).client()
    challenged = await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)

    assert challenged.json()["challenges"] == [{"kind": "mfa", "methods": ["asker", "other"]}]
    assert outcome(await post(client, "/login/other", {"code": "654321"})) == (200, "signed_in")


@pytest.mark.parametrize("way", [PASSWORD_WAY, CARELESS_WAY], ids=["password", "careless"])
async def test_hc10_a_strangers_own_kind_stops_every_other_way(house, way):
    client = (await house(badge={"required": True})).client()
    challenged = await post(client, way.path, way.right)

    assert challenged.json()["challenges"] == [{"kind": "badge", "methods": ["badge"]}]
    assert not client.signed_in
    assert outcome(await post(client, "/login/badge", {"pin": "1357"})) == (401, "invalid_proof")
    assert outcome(await post(client, "/login/badge", {"pin": "2468"})) == (200, "signed_in")


async def test_hc10_a_strangers_own_kind_is_met_by_its_own_way(house):
    client = (await house(badge={"required": True})).client()

    assert outcome(await post(client, BADGE_WAY.path, BADGE_WAY.right)) == (200, "signed_in")


async def test_hc11_a_second_step_without_a_first_is_refused(house):
    client = (await house(Asker())).client()

    assert outcome(await post(client, "/login/asker", CODE)) == (401, "login_expired")
    assert outcome(await post(client, "/login/badge", {"pin": "2468"})) == (401, "login_expired")


async def test_hc11_a_step_that_was_taken_cannot_be_taken_again(house):
    here = await house(Asker(), SecondAsker())
    token = (await post(here.client(), PASSWORD_WAY.path, PASSWORD_WAY.right)).json()["login_token"]
    await post(here.client(), "/login/terms", {**TERMS, "login_token": token})

    assert outcome(await post(here.client(), "/login/asker", {**CODE, "login_token": token})) == (401, "login_expired")
    assert await here.count("sigra_sessions") == 0


@pytest.mark.parametrize("times", [2, 8])
async def test_hc11_one_pending_sign_in_ends_in_one_session(house, times):
    here = await house(Asker())
    token = (await post(here.client(), PASSWORD_WAY.path, PASSWORD_WAY.right)).json()["login_token"]
    body = {**CODE, "login_token": token}
    answers = await asyncio.gather(*(post(here.client(), "/login/asker", body) for _ in range(times)))

    assert [answer.status_code for answer in answers].count(200) == 1
    assert await here.count("sigra_sessions") == 1


async def test_hc11_a_pending_sign_in_is_no_session_and_no_key(house):
    here = await house(Asker())
    token = (await post(here.client(), PASSWORD_WAY.path, PASSWORD_WAY.right)).json()["login_token"]
    as_session = here.client(headers={"cookie": f"{here.auth.settings.cookie_name('sigra')}={token}"})
    as_bearer = here.client(headers={"authorization": f"Bearer {token}"})
    as_key = here.client(headers={"authorization": f"Bearer sigra_sk_{token}"})

    assert (await as_session.get("/")).json()["user"] is None
    assert (await as_bearer.get("/")).json()["user"] is None
    assert (await as_key.get("/")).status_code == 401
    assert outcome(await post(as_session, "/login/asker", CODE)) == (401, "login_expired")


async def test_hc11_a_session_is_no_pending_sign_in(house):
    asker = Asker()
    here = await house(asker)
    client = here.client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    await post(client, "/login/asker", CODE)
    session = client.cookies[here.auth.settings.cookie_name("sigra")]

    swapped = await post(here.client(), "/login/asker", {**CODE, "login_token": session})
    assert outcome(swapped) == (401, "login_expired")


async def test_hc11_the_second_step_is_the_first_ones_users(house):
    here = await house(badge={"required": True})
    mallory = await make_user(here.auth, "mallory@example.com")
    await badge_of(here.auth).issue(here.auth, mallory, "666", "6666")
    client = here.client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)

    assert outcome(await post(client, "/login/badge", {"pin": "6666"})) == (401, "invalid_proof")
    assert not client.signed_in


async def test_hc11_five_wrong_proofs_kill_a_pending_sign_in(house):
    client = (await house(Asker())).client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    wrong = [outcome(await post(client, "/login/asker", WRONG)) for _ in range(5)]

    assert wrong == [(401, "invalid_proof")] * 5
    assert outcome(await post(client, "/login/asker", CODE)) == (401, "login_expired")
    assert not client.signed_in


async def test_hc11_four_wrong_proofs_leave_one_more(house):
    client = (await house(Asker())).client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    for _ in range(4):
        await post(client, "/login/asker", WRONG)

    assert outcome(await post(client, "/login/asker", CODE)) == (200, "signed_in")


async def test_hc11_factors_of_two_plugins_share_the_five(house):
    client = (await house(Asker(), badge={"required": True})).client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    for _ in range(3):
        await post(client, "/login/asker", WRONG)
    for _ in range(2):
        await post(client, "/login/badge", {"pin": "1357"})

    assert outcome(await post(client, "/login/asker", CODE)) == (401, "login_expired")


async def test_hc11_guesses_at_once_share_the_five(house):
    here = await house(Asker())
    token = (await post(here.client(), PASSWORD_WAY.path, PASSWORD_WAY.right)).json()["login_token"]
    body = {**WRONG, "login_token": token}
    answers = await asyncio.gather(*(post(here.client(), "/login/asker", body) for _ in range(16)))

    assert sorted(outcome(answer)[1] for answer in answers) == ["invalid_proof"] * 5 + ["login_expired"] * 11


async def test_hc11_a_pending_sign_in_ends_after_ten_minutes(house, sigra_clock):
    client = (await house(Asker())).client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    sigra_clock.tick(timedelta(minutes=10))

    assert outcome(await post(client, "/login/asker", CODE)) == (401, "login_expired")


async def test_hc11_a_revocation_ends_a_pending_sign_in(house):
    here = await house(Asker())
    client = here.client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    await here.auth.db.transaction(lambda tx: here.auth.revoke(tx, here.user, "password_changed"))

    assert outcome(await post(client, "/login/asker", CODE)) == (401, "login_expired")
    assert not client.signed_in


async def test_hc11_a_proof_from_before_a_revocation_is_refused(house):
    here = await house()
    await here.auth.db.transaction(lambda tx: here.auth.revoke(tx, here.user, "password_changed"))
    client = here.client()

    assert outcome(await client.sign_in_as(here.user)) == (401, "invalid_credentials")
    assert not client.signed_in


async def test_hc11_a_first_step_from_before_a_change_ends_nowhere(house):
    here = await house(Asker())
    client = here.client()
    await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)
    await here.auth.db.transaction(lambda tx: here.auth.users.bump_security_version(tx, here.user))

    assert outcome(await post(client, "/login/asker", CODE)) == (401, "login_expired")
    assert not client.signed_in

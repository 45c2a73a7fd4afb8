"""Strangers are under limits, locks, bans and audit without having asked, also the one who forgot about them."""

import pytest

from sigra.testing import EMAIL
from tests.distributions.policies import Asker, Auditor, Banner, Confused, Limiter, Locker
from tests.distributions.ways import CARELESS_WAY, every_way, outcome, post

LIMITED = (429, "too_many_attempts")


@every_way
async def test_wrong_proofs_are_limited(house, way):
    client = (await house(Limiter(3))).client()
    for _ in range(3):
        assert outcome(await post(client, way.path, way.wrong)) == (401, "invalid_credentials")

    limited = await post(client, way.path, way.wrong)
    assert outcome(limited) == LIMITED and limited.headers["retry-after"] == "60"
    assert outcome(await post(client, way.path, way.right)) == LIMITED
    assert not client.signed_in


@every_way
async def test_another_client_is_not_limited(house, way):
    here = await house(Limiter(3))
    for _ in range(4):
        await post(here.client(), way.path, way.wrong)

    assert outcome(await post(here.client(address=("198.51.100.9", 1)), way.path, way.right)) == (200, "signed_in")


@every_way
async def test_each_sign_in_is_asked_about_once(house, way):
    limiter = Limiter(9)
    here = await house(limiter)
    await post(here.client(), way.path, way.right)
    await post(here.client(), way.path, way.wrong)

    assert limiter.counts.total() == 2


@every_way
async def test_a_locked_account_is_locked_for_every_way(house, way):
    here = await house(Locker(EMAIL))
    client = here.client()

    assert outcome(await post(client, way.path, way.right)) == LIMITED
    assert not client.signed_in and await here.issued() == 0


@every_way
async def test_a_lock_holds_for_the_second_step_too(house, way):
    locker = Locker()
    here = await house(locker, Asker())
    client = here.client()
    await post(client, way.path, way.right)
    locker.locked = (EMAIL,)

    assert outcome(await post(client, "/login/asker", {"code": "123456"})) == LIMITED
    assert not client.signed_in


async def test_a_lock_is_not_passed_by_an_attempt_on_another_account(house):
    here = await house(Confused(), Locker(EMAIL))
    client = here.client()

    assert outcome(await post(client, "/confused", {"announces": "bob@example.com", "enters": EMAIL})) == LIMITED
    assert not client.signed_in


@every_way
async def test_a_banned_user_gets_nothing(house, way):
    here = await house(Banner(EMAIL), Asker())
    client = here.client()

    assert outcome(await post(client, way.path, way.right)) == (403, "banner_banned")
    assert not client.signed_in and await here.issued() == 0


@every_way
async def test_a_ban_between_the_steps_holds(house, way):
    banner = Banner()
    here = await house(banner, Asker())
    client = here.client()
    await post(client, way.path, way.right)
    banner.banned = (EMAIL,)

    assert outcome(await post(client, "/login/asker", {"code": "123456"})) == (403, "banner_banned")
    assert not client.signed_in and await here.count("sigra_sessions") == 0


@every_way
async def test_hc8_a_disabled_account_gets_nothing(house, way):
    here = await house()
    await here.auth.db.transaction(lambda tx: here.auth.users.set_status(tx, here.user, "disabled"))
    client = here.client()

    assert outcome(await post(client, way.path, way.right)) == (401, "invalid_credentials")
    assert not client.signed_in and await here.issued() == 0


@every_way
@pytest.mark.parametrize("proof", ["right", "wrong"])
async def test_every_attempt_is_in_the_audit(house, way, proof):
    auditor = Auditor()
    here = await house(auditor)
    await post(here.client(), way.path, getattr(way, proof))

    names = [name for name in await auditor.names(here.auth) if name.startswith("sign_in.")]
    assert names == [{"right": "sign_in.succeeded", "wrong": "sign_in.failed"}[proof]]


async def test_a_strangers_own_event_is_in_the_audit(house):
    auditor = Auditor()
    here = await house(auditor)
    await post(here.client(), "/badge", {"number": "4711", "pin": "2468"})

    assert await auditor.names(here.auth) == ["badge.read", "sign_in.succeeded"]


async def test_a_strangers_own_error_is_a_problem(house):
    here = await house()
    badge = next(one.plugin for one in here.auth.plugins if one.name == "badge")
    await badge.issue(here.auth, here.user, "13", "1313", blocked=True)

    assert outcome(await post(here.client(), "/badge", {"number": "13", "pin": "1313"})) == (403, "badge_blocked")


async def test_a_careless_stranger_is_cross_origin_protected(house):
    client = (await house()).client().as_browser(site="cross-site", origin="https://elsewhere.example")

    assert outcome(await post(client, CARELESS_WAY.path, CARELESS_WAY.right)) == (403, "cross_origin")
    assert not client.signed_in


async def test_a_careless_stranger_cannot_swap_the_user(house):
    here = await house()
    client = here.client()
    await post(client, CARELESS_WAY.path, CARELESS_WAY.right)
    await here.auth.db.transaction(lambda tx: here.auth.users.create(tx, email="mallory@example.com"))
    swapped = {"email": "mallory@example.com", "word": "sesame"}

    assert outcome(await post(client, CARELESS_WAY.path, swapped)) == (409, "other_account")
    assert (await client.get("/")).json()["user"]["email"] == EMAIL

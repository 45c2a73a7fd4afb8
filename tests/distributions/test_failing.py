"""Plugins that fail: refused where they could have refused, passed over where they are told (hard cases 47, 48)."""

from itertools import combinations

import pytest

from sigra import Refused
from sigra.testing import EMAIL
from tests.distributions.policies import Asker, Auditor, Banner, Limiter, Listener, Locker, SecondAsker, Waiver, raiser
from tests.distributions.ways import PASSWORD_WAY, every_way, outcome, post

VETOING = [
    "check_request",
    "before_attempt",
    "before_action",
    "challenges_for_login",
    "waivers_for_login",
]

POLICIES = {
    "limiter": lambda: Limiter(0),
    "locker": lambda: Locker(EMAIL),
    "banner": lambda: Banner(EMAIL),
    "asker": Asker,
    "second_asker": SecondAsker,
    "waiver": lambda: Waiver("mfa", "terms"),
    "auditor": lambda: Auditor(broken="sign_in.succeeded"),
    "raiser": lambda: raiser("challenges_for_login"),
}


@every_way
@pytest.mark.parametrize("hook", VETOING)
async def test_hc47_a_plugin_that_fails_where_it_may_refuse_refuses(house, way, hook):
    here = await house(Asker() if hook == "waivers_for_login" else Locker(), raiser(hook))
    client = here.client()
    refused = await post(client, way.path, way.right)

    assert outcome(refused) == (503, "unavailable") and refused.headers["retry-after"]
    assert "bug" not in refused.text
    assert not client.signed_in and await here.issued() == 0


async def test_hc47_a_plugin_that_fails_at_a_sign_out_leaves_the_session(house):
    here = await house(raiser("revoke_session"))
    client = here.client()
    await client.sign_in(here.user)

    assert outcome(await client.sign_out()) == (503, "unavailable")
    assert (await client.get("/")).json()["method"] == "session"


async def test_hc47_a_plugin_that_fails_at_a_revocation_undoes_it(house):
    here = await house(raiser("revoke_credentials"))
    kept, client = here.client(), here.client()
    await kept.sign_in(here.user)
    await client.sign_in(here.user)

    assert outcome(await client.delete(client.path("/sessions"))) == (503, "unavailable")
    assert (await kept.get("/")).json()["method"] == "session"


@every_way
@pytest.mark.parametrize("error", [ValueError("a bug"), Refused("too late")], ids=["bug", "refusal"])
async def test_hc47_a_listener_that_fails_stops_nobody(house, way, error):
    before, broken, after = Listener("before"), Listener("broken", error), Listener("after")
    here = await house(before, broken, after)

    assert outcome(await post(here.client(), way.path, way.right)) == (200, "signed_in")
    await here.auth.aclose()
    assert before.heard == broken.heard == after.heard
    assert after.heard[-1] == "sign_in.succeeded"


async def test_hc47_a_failing_before_response_spoils_no_answer(house):
    here = await house(raiser("before_response"))
    client = here.client()

    assert (await client.sign_in(here.user)).status_code == 200
    assert (await client.get("/")).json()["method"] == "session"


@pytest.mark.parametrize("pair", list(combinations(POLICIES, 2)), ids="-".join)
async def test_hc48_the_order_of_two_plugins_decides_nothing(house, pair):
    first = await house(*(POLICIES[name]() for name in pair), database_url="sqlite:///:memory:")
    second = await house(*(POLICIES[name]() for name in reversed(pair)), database_url="sqlite:///:memory:")
    clients = first.client(), second.client()
    answers = [await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right) for client in clients]

    assert clients[0].signed_in == clients[1].signed_in
    assert (answers[0].status_code < 300) == (answers[1].status_code < 300)
    assert await first.issued() == await second.issued()


@pytest.mark.parametrize("waived_first", [True, False])
async def test_hc48_a_waiver_lifts_nothing_that_cannot_be_waived(house, waived_first):
    plugins = [Waiver("badge", "mfa"), Asker()]
    here = await house(*(plugins if waived_first else reversed(plugins)), badge={"required": True})
    client = here.client()
    challenged = await post(client, PASSWORD_WAY.path, PASSWORD_WAY.right)

    assert outcome(challenged) == (202, "challenge")
    assert [one["kind"] for one in challenged.json()["challenges"]] == ["badge"]
    assert not client.signed_in

"""A provider that does what it should not, fault by fault: nobody gets in, nothing is made, and it passes.

And one that does what it may: whoever it speaks for gets in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx2
import pytest

from sigra.testing import Client, FrozenClock, make_user
from sigra_oauth import outbound
from tests.apps import running
from tests.oauth import hostile
from tests.oauth.dancing import configured, counted, dance, outcome
from tests.oauth.fault import SOUND, Fault
from tests.oauth.faults import FAULTS, MODULES
from tests.oauth.hostile import Hostile
from tests.oauth.logouts import LOGOUTS
from tests.oauth.logouts import MODULES as LOGOUT_MODULES
from tests.oauth.serving import Place

PLUGINS = ["defaults", "oauth"]

EVE = {"sub": "sub-eve", "email": "eve@example.com", "email_verified": True}

ANY = pytest.mark.databases("sqlite")
"""What a provider says is the same to every database."""


def of_case(number: int | None, *outcomes: str) -> Callable[..., object]:
    """The faults whose first hard case that is."""
    names = [name for name, one in FAULTS.items() if (one.cases or (None,))[0] == number]
    if outcomes:
        names = [name for name in names if FAULTS[name].outcome in outcomes]
    return pytest.mark.parametrize("name", names)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits five seconds for what is slow on purpose."""
    monkeypatch.setattr(outbound, "SECONDS", 0.5)


async def warm_up(client: Client, provider: Hostile, clock: FrozenClock) -> None:
    """Somebody else signs in, so that everything is cached, and a while goes by."""
    ada, provider.person = provider.person, dict(EVE)
    assert outcome(await dance(client)) == "accepted"
    provider.person = ada
    client.cookies.clear()
    clock.tick(timedelta(minutes=2))


async def play(database: str, place: Place, fault: Fault) -> tuple[Hostile, httpx2.Response]:
    """A dance with the fault; what must hold for each."""
    clock = FrozenClock()
    with hostile.running(clock, place) as provider:
        async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
            if fault.outcome == "unverified":
                await make_user(client.sigra, "ada@example.com")
            if fault.warm:
                await warm_up(client, provider, clock)
            before, provider.fault = await counted(client), fault
            response = await dance(client)
            after, came = await counted(client), client.signed_in
            provider.fault = SOUND
            if fault.outcome not in ("accepted", "unverified"):
                assert (after, came) == (before, False)
                await passes(client, clock)
    if fault.outcome == "accepted":
        assert came
        assert after == {name: number + 1 for name, number in before.items()}
    assert provider.complaints == []
    assert [path for path in provider.calls if path.startswith("/")] == []
    return provider, response


async def passes(client: Client, clock: FrozenClock) -> None:
    """Once it is over, whoever was kept out gets in."""
    client.cookies.clear()
    clock.tick(timedelta(minutes=61))
    assert outcome(await dance(client)) == "accepted"


async def holds(database: str, place: Place, name: str) -> None:
    _, response = await play(database, place, FAULTS[name])

    assert outcome(response) == FAULTS[name].outcome
    assert response.status_code in (200, 202, 400, 403, 503)
    assert ("retry-after" in response.headers) == (response.status_code == 503)


def test_every_module_of_the_foundations_plans_is_played() -> None:
    assert {one.module for one in FAULTS.values()} - {None} == MODULES
    assert {one.module for one in LOGOUTS.values()} - {None} == LOGOUT_MODULES


@ANY
@of_case(None)
async def test_whoever_a_sound_provider_speaks_for_gets_in(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
@of_case(2)
async def test_hc02_an_address_that_is_not_said_to_be_verified_signs_nobody_in(
    database: str, place: Place, name: str
) -> None:
    await holds(database, place, name)


@ANY
@of_case(3)
async def test_hc03_without_a_subject_there_is_nobody(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
@of_case(18)
async def test_hc18_another_kind_of_token_is_no_id_token(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
@of_case(26)
async def test_hc26_an_id_token_that_does_not_hold_signs_nobody_in(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
@of_case(28)
async def test_hc28_a_callback_of_no_attempt_signs_nobody_in(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
@of_case(29)
async def test_hc29_a_token_for_somebody_else_signs_nobody_in(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
@of_case(30)
async def test_hc30_a_hostile_provider_signs_nobody_in(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
@of_case(31)
async def test_hc31_a_callback_without_an_answer_signs_nobody_in(database: str, place: Place, name: str) -> None:
    await holds(database, place, name)


@ANY
async def test_hc30_unknown_keys_without_end_are_looked_up_once_a_minute(database: str, place: Place) -> None:
    clock = FrozenClock()
    with hostile.running(clock, place) as provider:
        async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
            await warm_up(client, provider, clock)
            provider.fault = FAULTS["kid-unknown"]
            before = provider.calls["keys"]
            answers = [outcome(await dance(client)) for _ in range(5)]
            at_once = provider.calls["keys"] - before
            clock.tick(timedelta(seconds=61))
            answers.append(outcome(await dance(client)))
            later = provider.calls["keys"] - before

    assert answers == ["oauth_failed"] * 6
    assert (at_once, later) == (1, 2)


@ANY
async def test_hc30_a_configuration_and_keys_are_asked_for_once(database: str, place: Place) -> None:
    clock = FrozenClock()
    with hostile.running(clock, place) as provider:
        async with running(database, PLUGINS, clock=clock, oauth=configured(provider)) as client:
            for _ in range(4):
                assert outcome(await dance(client)) == "accepted"

    assert (provider.calls["discovery"], provider.calls["keys"], provider.calls["token"]) == (1, 1, 4)

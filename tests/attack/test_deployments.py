"""Attacks on whole deployments: without a lock, and two workers on every database."""

from __future__ import annotations

from pathlib import Path

import pytest

from sigra.attack import ATTACKS, Result, Target, run
from tests import servers
from tests.broken.build import served
from tests.broken.faults import FAULTS
from tests.broken.workers import two_workers

ONE_ACCOUNT = [one for one in ATTACKS if one.name == "one-account"]
SLOW = (
    "at-once",
    "cross-origin-posts",
    "described-routes",
    "enumeration-by-time",
    "forged-addresses",
    "hostile-bodies",
    "hostile-headers",
    "one-account",
    "one-client",
    "slow-bodies",
)
"""Made only for the faults that are meant for them."""


def broken(results: list[Result]) -> list[Result]:
    return [one for one in results if one.verdict == "broken"]


async def test_without_a_lock_an_account_gets_few_proofs_all_the_same(tmp_path: Path):
    async with served(f"sqlite:///{tmp_path}/test.sqlite3", ["defaults"]) as build:
        sound = await run(await build.target(), ONE_ACCOUNT)
        faulty = await run(await build.target("counts_by_client_alone", clients=110), ONE_ACCOUNT)

    assert (sound[0].verdict, sound[0].evidence.split(";")[0]) == ("held", "no lock is switched on")
    assert faulty[0].verdict == "broken"


@pytest.mark.soak
async def test_two_workers_hold_against_every_attack(database: str):
    async with two_workers(database) as target:
        await attacked_in_vain(target)


@pytest.mark.soak
async def test_two_workers_that_count_in_redis_hold_against_every_attack(tmp_path: Path):
    with servers.running(["redis"]) as urls:
        async with two_workers(f"sqlite:///{tmp_path}/test.sqlite3", urls["redis"]) as target:
            await attacked_in_vain(target)


async def attacked_in_vain(target: Target) -> None:
    results = await run(target, ATTACKS)

    for one in results:
        print(f"{one.seconds:6.1f} s  {one.verdict}  {one.name}: {one.evidence}")
    assert broken(results) == []
    # On a busy machine times tell nothing, and say so.
    assert [one for one in results if one.verdict != "held" and one.name != "enumeration-by-time"] == []
    assert results[-1].evidence.endswith("a known browser was let in, and so was a link by mail")


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_other_attack_sees_the_fault(build, fault: str):
    target, meant = await build.target(fault), FAULTS[fault].found_by

    results = await run(target, [one for one in ATTACKS if one.name in meant or one.name not in SLOW])

    assert {one.name for one in broken(results)} == set(meant)

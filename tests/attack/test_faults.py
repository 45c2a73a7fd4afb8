"""Every planted fault is found by its attacks, and every attack finds one; a sound build holds."""

from __future__ import annotations

import pytest

from sigra.attack import ATTACKS, run
from sigra.testing import PASSWORD
from tests.broken.build import Build
from tests.broken.faults import FAULTS

TOLD_BY_TIME = ("slow_for_accounts",)
"""Seen on a quiet machine; on a busy one the attack says that it sees nothing."""

MARKED = [pytest.param(name, marks=[pytest.mark.soak] * (name in TOLD_BY_TIME)) for name in FAULTS]


@pytest.mark.parametrize("fault", MARKED)
async def test_the_attack_finds_the_fault(build: Build, fault: str):
    target = await build.target(fault)
    chosen = [one for one in ATTACKS if one.name in FAULTS[fault].found_by]

    results = await run(target, chosen)

    assert [(one.name, one.verdict) for one in results] == [(one.name, "broken") for one in chosen], results
    assert PASSWORD not in repr(results)


def test_every_attack_has_a_fault_that_it_finds():
    found = {name for fault in FAULTS.values() for name in fault.found_by}

    assert found == {one.name for one in ATTACKS}


async def test_a_sound_build_holds(build: Build):
    results = await run(await build.target(), ATTACKS)

    assert [one for one in results if one.verdict == "broken"] == []
    assert {one.name for one in results if one.verdict != "held"} <= {"enumeration-by-time"}

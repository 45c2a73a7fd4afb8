"""`sigra calibrate`, on machines of any speed."""

from __future__ import annotations

import re

import pytest

from sigra import Settings, Sigra
from sigra.cli.calibrate import AIM, LEAST, MEMORIES, MOST, Cost, Measure, advice, calibrated
from sigra.crypto.passwords import MINIMUM_MEMORY_KIB, MINIMUM_TIME
from tests.cli.conftest import Run


def machine(seconds_a_pass: float) -> Measure:
    """A machine that takes so long to fill 64 MiB once."""
    return lambda memory, passes: seconds_a_pass * passes * memory / 65_536


SPEEDS = [0.001, 0.01, 0.03, 0.05, 0.07, 0.09, 0.099, 0.1, 0.12, 0.149, 0.15, 0.2, 0.249, 0.25, 0.26, 0.35, 0.5, 0.8]


@pytest.mark.parametrize("seconds", SPEEDS)
def test_a_hash_takes_200_to_500_ms_where_the_minimum_allows_it(seconds: float):
    cost = calibrated(machine(seconds))

    assert LEAST <= cost.seconds <= MOST
    assert cost.seconds == machine(seconds)(cost.memory_kib, cost.time)


@pytest.mark.parametrize("seconds", [0.001, 0.1, 1.0, 100.0])
def test_no_machine_gets_less_than_the_minimum(seconds: float):
    cost = calibrated(machine(seconds))

    assert (cost.memory_kib >= MINIMUM_MEMORY_KIB, cost.time >= MINIMUM_TIME) == (True, True)


def test_a_slow_machine_gets_the_minimum():
    cost = calibrated(machine(100))

    assert (cost.memory_kib, cost.time) == (MINIMUM_MEMORY_KIB, MINIMUM_TIME)


def test_memory_goes_before_passes():
    fast, slower = calibrated(machine(0.01)), calibrated(machine(0.3))

    assert (fast.memory_kib, fast.time) == (MEMORIES[0], round(AIM / 0.01))
    assert (slower.memory_kib, slower.time) == (MEMORIES[1], MINIMUM_TIME)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.3, "300 ms and 64 MiB here; as many run at once"), (0.9, "more than 500 ms"), (0.1, "less than 200 ms")],
)
def test_a_person_is_told_what_it_means(seconds: float, told: str):
    assert told in advice(Cost(65_536, 3, seconds))


def test_the_printed_options_are_taken_without_any_configuration(bare: Run):
    result = bare("calibrate")

    options = dict(re.findall(r"^SIGRA_PASSWORD__(\w+)=(\d+)$", result.stdout, re.MULTILINE))
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 3)
    assert "ms and" in result.stderr
    password = {name.lower(): int(value) for name, value in options.items()}
    assert Sigra(Settings(secret_keys=["k" * 32], base_url="https://example.com", password=password)).hasher

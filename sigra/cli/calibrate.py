"""`sigra calibrate`: what a password hash should cost on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import click
from argon2 import Type
from argon2.exceptions import HashingError
from argon2.low_level import hash_secret_raw

from sigra.crypto.passwords import MINIMUM_MEMORY_KIB, MINIMUM_TIME, SALT_BYTES, TAG_BYTES

LEAST, AIM, MOST = 0.2, 0.3, 0.5
"""Seconds of one hash. A sign-in should cost an attacker as much as people and the machine bear: below a second (OWASP
Password Storage Cheat Sheet, "Work Factors"), and half of that (RFC 9106, section 4: 0.5 s for a server)."""

MEMORIES = (65_536, 47_104, 32_768, MINIMUM_MEMORY_KIB)
"""KiB, the most first: 64 MiB is the second recommended option (RFC 9106, section 4), 46 and 19 MiB are OWASP's."""

LANES = 1
"""One hash keeps one core busy: the others serve the next sign-ins."""

RUNS = 3

Measure = Callable[[int, int], float]
"""The seconds of a hash with so many KiB and passes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters of argon2id, and the seconds that a hash took with them."""

    memory_kib: int
    time: int
    seconds: float


@click.command()
def calibrate() -> None:
    """Time argon2id on this machine and print the options for 200 to 500 ms a hash.

    Runs without any configuration. Never goes below 19,456 KiB and two passes, even where these take longer. Run it on
    the machine that will serve, while it has nothing else to do.
    """
    try:
        cost = calibrated(measured)
    except HashingError as error:
        raise click.ClickException(f"argon2id cannot get {MEMORIES[0]} KiB of memory here: free some.") from error
    click.echo(f"SIGRA_PASSWORD__MEMORY_KIB={cost.memory_kib}")
    click.echo(f"SIGRA_PASSWORD__TIME={cost.time}")
    click.echo(f"SIGRA_PASSWORD__PARALLELISM={LANES}")
    click.echo(advice(cost), err=True)


def calibrated(measure: Measure) -> Cost:
    """As much memory as two passes can fill in time, then as many passes as come nearest to the aim.

    The order is that of RFC 9106, section 4: memory first, and passes for the time that is left.
    """
    for memory in MEMORIES:
        least = measure(memory, MINIMUM_TIME)
        if least <= MOST:
            break
    if least >= LEAST:
        return Cost(memory, MINIMUM_TIME, least)
    passes = round(AIM * MINIMUM_TIME / least)
    return Cost(memory, passes, measure(memory, passes))


def advice(cost: Cost) -> str:
    """What a person should know of the outcome."""
    took = f"A hash takes {cost.seconds * 1000:.0f} ms and {cost.memory_kib / 1024:.0f} MiB here"
    if cost.seconds > MOST:
        return f"{took}, more than {MOST * 1000:.0f} ms: less than this would not protect stolen hashes."
    if cost.seconds < LEAST:
        return f"{took}, less than {LEAST * 1000:.0f} ms: run it again while the machine is quiet."
    return f"{took}; as many run at once as there are cores."


def measured(memory_kib: int, time: int) -> float:
    """The median of some hashes, after one that brings the memory in."""
    _timed(memory_kib, MINIMUM_TIME)
    return median(_timed(memory_kib, time) for _ in range(RUNS))


def _timed(memory_kib: int, time: int) -> float:
    began = perf_counter()
    # What is hashed does not change the time.
    hash_secret_raw(b"", bytes(SALT_BYTES), time, memory_kib, LANES, TAG_BYTES, Type.ID)
    return perf_counter() - began

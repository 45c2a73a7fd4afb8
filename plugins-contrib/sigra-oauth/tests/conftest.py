"""A place where hostile providers are served, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sigra.testing import FrozenClock
from tests.oauth import hostile, serving


@pytest.fixture(scope="session")
def place() -> Iterator[serving.Place]:
    with serving.place() as place:
        yield place


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def provider(clock: FrozenClock, place: serving.Place) -> Iterator[hostile.Hostile]:
    """One that does nothing wrong unless it is told to."""
    with hostile.running(clock, place) as one:
        yield one

"""A place where hostile providers are served, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oauth import serving


@pytest.fixture(scope="session")
def place() -> Iterator[serving.Place]:
    with serving.place() as place:
        yield place

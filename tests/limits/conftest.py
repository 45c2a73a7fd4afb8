"""Redis, and what the tests of limits have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis as client

from tests import servers


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with servers.running(["redis"]) as urls:
        yield urls["redis"]


@pytest.fixture
def redis(redis_server: str) -> str:
    """The URL of an empty Redis."""
    with client.Redis.from_url(redis_server) as connection:
        connection.flushall()
    return redis_server

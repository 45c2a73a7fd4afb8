"""Mail servers to send to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.post_office import Authority, PostOffice, open_office


@pytest.fixture
def office() -> Iterator[PostOffice]:
    """A server without encryption, as on one's own machine."""
    with open_office() as opened:
        yield opened


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def opening() -> Callable[..., AbstractContextManager[PostOffice]]:
    """A way to open a server with options of aiosmtpd's."""
    return open_office

"""One build for a file of attacks, since each fault has its own account and addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.broken.build import Build, hurry, served
from tests.cli.conftest import bare, folder

__all__ = ["bare", "build", "folder"]


@pytest.fixture(scope="module")
async def build(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Build]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(hurry(), "seconds", 1.0)
        url = f"sqlite:///{tmp_path_factory.mktemp('attack') / 'test.sqlite3'}"
        async with served(url, ["defaults", "lockout"]) as build:
            yield build

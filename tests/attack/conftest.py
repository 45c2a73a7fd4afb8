"""One build for a file of attacks, since each fault has its own account and addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.broken.build import Build, hurry, served


@pytest.fixture(scope="module")
async def build(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Build]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(hurry(), "seconds", 1.0)
        async with served(f"sqlite:///{tmp_path_factory.mktemp('attack') / 'test.sqlite3'}") as build:
            yield build

"""The fixtures, as a pytest plugin that comes with `sigra[testing]`; a project overrides any of them by its name.

    from sigra.testing import Client

    @pytest.fixture
    def sigra_plugins():
        return ["defaults", "totp"]

    @pytest.mark.anyio
    async def test_a_page_greets_by_name(sigra_signed_in: Client):
        response = await sigra_signed_in.get("/")

        assert "ada@example.com" in response.text

Tests that use them run on asyncio by anyio's pytest plugin: SQLAlchemy's asyncio layer runs on nothing else. An
application of one's own is put in by overriding `sigra_application`; a `Sigra` of one's own by overriding `sigra_auth`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigra import testing

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from starlette.types import ASGIApp

    from sigra.core import Sigra
    from sigra.models import User
    from sigra.protocols import Plugin
    from sigra.settings import Settings

pytest.register_assert_rewrite("sigra.testing.contract")


@pytest.fixture
def sigra_clock() -> testing.FrozenClock:
    """A clock that stands still until `sigra_clock.tick(timedelta(…))`."""
    return testing.FrozenClock()


@pytest.fixture
def sigra_database_url(tmp_path: Path) -> str:
    """An SQLite file of the test's own; override it to test on another database, which has to be empty."""
    return f"sqlite:///{tmp_path / 'sigra.db'}"


@pytest.fixture
def sigra_settings(sigra_database_url: str) -> Settings:
    """Options for tests: http://localhost, the cheapest hash. See `sigra.testing.cheap_settings`."""
    return testing.cheap_settings(sigra_database_url)


@pytest.fixture
def sigra_plugins() -> Sequence[str | Plugin]:
    """The plugins: every built-in."""
    return ["defaults"]


@pytest.fixture
def sigra_metadata() -> MetaData | None:
    """The MetaData that Sigra's tables are made on: a new one; override it to have the host's tables beside them."""
    return None


@pytest.fixture
async def sigra_auth(
    sigra_settings: Settings,
    sigra_plugins: Sequence[str | Plugin],
    sigra_metadata: MetaData | None,
    sigra_clock: testing.FrozenClock,
) -> AsyncIterator[Sigra]:
    """A `Sigra`, started, its tables made and empty."""
    made = testing.installation(sigra_settings, sigra_plugins, metadata=sigra_metadata, clock=sigra_clock)
    async with made as auth:
        yield auth


@pytest.fixture
def sigra_application() -> ASGIApp:
    """The application to protect: it says who asks, on WebSockets too."""
    return testing.application


@pytest.fixture
def sigra_app(sigra_auth: Sigra, sigra_application: ASGIApp) -> ASGIApp:
    """The application behind Sigra."""
    return sigra_auth.wrap(sigra_application)


@pytest.fixture
async def sigra_client(sigra_auth: Sigra, sigra_app: ASGIApp) -> AsyncIterator[testing.Client]:
    """A client that nobody is signed in with."""
    async with testing.Client(sigra_app, sigra_auth) as client:
        yield client


@pytest.fixture
async def sigra_user(sigra_auth: Sigra) -> User:
    """An account: `sigra.testing.EMAIL`, proven, with `sigra.testing.PASSWORD`."""
    return await testing.make_user(sigra_auth)


@pytest.fixture
async def sigra_signed_in(sigra_auth: Sigra, sigra_app: ASGIApp, sigra_user: User) -> AsyncIterator[testing.Client]:
    """A client that `sigra_user` is signed in with, by password."""
    async with testing.Client(sigra_app, sigra_auth) as client:
        response = await client.sign_in(sigra_user)
        assert response.status_code == 200, response.text
        yield client

"""The built-in plugins keep what every plugin promises, on every database."""

import pytest

from sigra.plugins.api_keys import APIKeys
from sigra.plugins.pages import Pages
from sigra.plugins.password import Password
from sigra.plugins.sessions import Sessions
from sigra.testing import PluginContract


@pytest.fixture
def sigra_database_url(database: str) -> str:
    return database


class TestSessions(PluginContract):
    plugin = Sessions


class TestPassword(PluginContract):
    plugin = Password


class TestAPIKeys(PluginContract):
    plugin = APIKeys


class TestPages(PluginContract):
    plugin = Pages

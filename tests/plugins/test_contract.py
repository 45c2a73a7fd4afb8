"""The built-in plugins keep what every plugin promises; where a client's text meets the database, on each of them."""

import pytest

from sigra.plugins.account import Account
from sigra.plugins.api_keys import APIKeys
from sigra.plugins.email_change import EmailChange
from sigra.plugins.email_verification import EmailVerification
from sigra.plugins.known_browsers import KnownBrowsers
from sigra.plugins.magic_link import MagicLink
from sigra.plugins.pages import Pages
from sigra.plugins.password import Password
from sigra.plugins.password_reset import PasswordReset
from sigra.plugins.reauthentication import Reauthentication
from sigra.plugins.recovery_codes import RecoveryCodes
from sigra.plugins.sessions import Sessions
from sigra.plugins.signup import SignUp
from sigra.plugins.trusted_browsers import TrustedBrowsers
from sigra.testing import PluginContract


@pytest.fixture
def sigra_database_url(database: str) -> str:
    return database


@pytest.mark.databases("sqlite")
class TestSessions(PluginContract):
    plugin = Sessions


class TestPassword(PluginContract):
    plugin = Password


class TestAPIKeys(PluginContract):
    plugin = APIKeys


class TestAccount(PluginContract):
    plugin = Account


class TestEmailChange(PluginContract):
    plugin = EmailChange


@pytest.mark.databases("sqlite")
class TestPages(PluginContract):
    plugin = Pages


@pytest.mark.databases("sqlite")
class TestReauthentication(PluginContract):
    plugin = Reauthentication


class TestPasswordReset(PluginContract):
    plugin = PasswordReset


class TestMagicLink(PluginContract):
    plugin = MagicLink


class TestKnownBrowsers(PluginContract):
    plugin = KnownBrowsers


class TestRecoveryCodes(PluginContract):
    plugin = RecoveryCodes


class TestTrustedBrowsers(PluginContract):
    plugin = TrustedBrowsers


class TestSignUp(PluginContract):
    plugin = SignUp


class TestEmailVerification(PluginContract):
    plugin = EmailVerification

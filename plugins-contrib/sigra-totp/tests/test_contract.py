"""What any plugin promises, by the suite that Sigra ships."""

from sigra.testing import PluginContract
from sigra_totp import TOTP


class TestTOTP(PluginContract):
    plugin = TOTP

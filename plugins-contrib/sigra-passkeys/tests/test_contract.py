"""What any plugin promises, by the suite that Sigra ships."""

from sigra.testing import PluginContract
from sigra_passkeys import Passkeys


class TestPasskeys(PluginContract):
    plugin = Passkeys

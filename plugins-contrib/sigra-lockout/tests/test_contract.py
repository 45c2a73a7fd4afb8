"""What any plugin promises, by the suite that Sigra ships."""

from sigra.testing import PluginContract
from sigra_lockout import Lockout


class TestLockout(PluginContract):
    plugin = Lockout

"""What any plugin promises, checked by the suite that Sigra ships; run where the plugin is installed."""

from sigra_careless import Careless

from sigra.testing import PluginContract


class TestCareless(PluginContract):
    plugin = Careless
